"""Pseudonyms: names for patients and examinations that say nothing to who lacks the key."""

import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

from gliomalib.schema import Case, DataError

KEY_FILE = "pseudonyms.key"
"""Name of the file that holds the secret, beside the working folders of the studies."""

KEY_BYTES = 32


@dataclass(frozen=True)
class Pseudonyms:
    """The same ID gets the same pseudonym under one key, whatever the study (HMAC-SHA-256).

    Without a secret the few thousand public IDs could simply be tried one after the other.
    """

    key: bytes

    def patient(self, patient_id: str) -> str:
        """Return what a patient is called in a report."""
        return f"patient-{self._digits('patient', patient_id)}"

    def case(self, case_id: str) -> str:
        """Return what an examination is called in a report."""
        return f"exam-{self._digits('case', case_id)}"

    def site(self, site: str) -> str:
        """Return what an institution is called in a report; one that is not known stays empty."""
        return site and f"site-{self._digits('site', site)}"

    def renamed(self, case: Case) -> Case:
        """Return a case under the names by which a report may show it."""
        case_id, patient_id = self.case(case.case_id), self.patient(case.patient_id)
        return replace(case, case_id=case_id, patient_id=patient_id, site=self.site(case.site))

    def _digits(self, kind: str, name: str) -> str:
        return hmac.digest(self.key, f"{kind}/{name}".encode(), "sha256").hex()[:10]


def open_pseudonyms(folder: Path) -> Pseudonyms:
    """Return the pseudonyms of the key in ``folder``; a key that only its owner can read is made.

    Raises ``DataError`` where the file holds no such key.
    """
    path = folder / KEY_FILE
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise DataError(
            f"{path}: holds {len(key)} bytes, expected a key of {KEY_BYTES}; restore it, or delete "
            "it to get other pseudonyms"
        )
    return Pseudonyms(key)


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # such a file is for its owner only, whatever the umask
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as fresh:
        fresh.write(secrets.token_bytes(KEY_BYTES))
        fresh.flush()
        # a second process that makes one at the same time must not replace the first one's
        with suppress(FileExistsError):
            os.link(fresh.name, path)
