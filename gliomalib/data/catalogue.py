"""Which data sets this study can read, where they come from, and what may be done with them.

A figure that was not found in a source is None here and reads "see the provider" in the tables.
"Second hand" in ``source`` means: said by others who had the files or the page before them, and
not read on the provider's page. Nothing here is passed on; each user takes the data from the
provider and agrees to the provider's terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from gliomalib.schema import SettingsError

Access = Literal["open", "by hand", "registration"]
"""How a set is had.

open: ``download.fetch_open`` fetches it. by hand: no account needed, but the provider hands it out
through a transfer program of its own only. registration: an account and consent to terms first.
"""

UNKNOWN = "see the provider"


@dataclass(frozen=True)
class DataSet:
    """One data set as its provider gives it out.

    ``patients`` counts the patients of the part with public masks (training part of a challenge,
    otherwise all), ``size_gb`` the download in GB of 10⁹ bytes; both None where no source says.
    ``where`` is the provider's name followed by the address of its page, ``how`` what to do once
    the files are there (or to fetch them), ``releases`` the keys under which a study names it.
    """

    key: str
    title: str
    patients: int | None
    size_gb: float | None
    licence: str
    access: Access
    where: str
    how: str
    releases: tuple[str, ...]
    cite: str
    source: str

    @property
    def provider(self) -> str:
        """Name of the provider."""
        return self.where.rpartition(" ")[0]

    @property
    def page(self) -> str:
        """Address of the provider's page: where to register or to read on."""
        return self.where.rpartition(" ")[2]


def _in_study(release: str) -> str:
    return (
        f"name {release} under data.internal_releases or data.external_releases in "
        "notebooks/params/<study>.yml, then make report STUDY=<study> DATA=/that/folder"
    )


_PAPER = "unpack it below one folder, then make report STUDY=brats DATA=/that/folder"
_BRATS = "Menze et al. 2015, Bakas et al. 2017, Bakas et al. 2018"
_CBICA = "Center for Biomedical Image Computing & Analytics, University of Pennsylvania"
_CBICA_TERMS = "the organisers' terms: research, with citation"
_TCIA = "The Cancer Imaging Archive"
_TCIA_PAGES = "https://www.cancerimagingarchive.net"

_SETS = (
    DataSet(
        key="brats2018",
        title="BraTS 2018",
        patients=285,
        size_gb=None,
        licence=_CBICA_TERMS,
        access="registration",
        where=f"{_CBICA} https://www.med.upenn.edu/sbia/brats2018/registration.html",
        how=_PAPER,
        releases=("brats2018",),
        cite=_BRATS,
        source="patients: the organisers' name_mapping.csv; terms: the challenge's data page",
    ),
    DataSet(
        key="brats2019",
        title="BraTS 2019",
        patients=335,
        size_gb=None,
        licence=_CBICA_TERMS,
        access="registration",
        where=f"{_CBICA} https://www.med.upenn.edu/cbica/brats2019/registration.html",
        how=_PAPER,
        releases=("brats2019",),
        cite=_BRATS,
        source="patients: the organisers' name_mapping.csv; terms: as for 2018 and 2020",
    ),
    DataSet(
        key="brats2020",
        title="BraTS 2020",
        patients=369,
        size_gb=None,
        licence=_CBICA_TERMS,
        access="registration",
        where=f"{_CBICA} https://www.med.upenn.edu/cbica/brats2020/registration.html",
        how=_PAPER,
        releases=("brats2020",),
        cite=_BRATS,
        source="patients: the organisers' name_mapping.csv; terms: the challenge's data page; in "
        "November 2025 a user found it no longer handed out (second hand)",
    ),
    DataSet(
        key="brats2021",
        title="BraTS 2021",
        patients=1251,
        size_gb=None,
        licence="CC BY 4.0 as packed by the archive",
        access="by hand",
        where=f"{_TCIA} {_TCIA_PAGES}/analysis-result/rsna-asnr-miccai-brats-2021/",
        how=f"take the folder with the training part of task 1; {_in_study('brats2021')}",
        releases=("brats2021",),
        cite=f"Baid et al. 2021 (arXiv 2107.02314), {_BRATS}",
        source="patients as Baid et al. 2021 count them (the IDs of 2023 make some of them second "
        "examinations); licence and way of access: second hand, several agree",
    ),
    DataSet(
        key="brats2023",
        title="BraTS 2023 GLI (the images of BraTS 2021)",
        patients=None,
        size_gb=13.2,
        licence="CC BY-NC 4.0",
        access="registration",
        where="Synapse https://www.synapse.org/Synapse:syn51156910/wiki/627000",
        how=_in_study("brats2023"),
        releases=("brats2023",),
        cite=f"Baid et al. 2021 (arXiv 2107.02314), {_BRATS}",
        source="1,251 examinations, some patients with more than one (the IDs end in -000, -001); "
        "size of the training archive and licence: second hand, several agree",
    ),
    DataSet(
        key="brats2024",
        title="BraTS 2024 GLI (after treatment)",
        patients=None,
        size_gb=48.0,
        licence="CC BY-NC 4.0",
        access="registration",
        where="Synapse https://www.synapse.org/Synapse:syn53708249/wiki/627500",
        how=_in_study("brats2024"),
        releases=("brats2024",),
        cite="de Verdier et al. 2024 (arXiv 2405.18368)",
        source="1,621 examinations with masks (1,350 and 271 added later) and size of the whole "
        "folder: second hand, two agree; licence: second hand, one source",
    ),
    DataSet(
        key="brats_africa",
        title="BraTS-Africa (2023 SSA)",
        patients=146,
        size_gb=1.6,
        licence="CC BY 4.0",
        access="by hand",
        where=f"{_TCIA} {_TCIA_PAGES}/collection/brats-africa/",
        how=f"take the processed images; {_in_study('brats_africa')}",
        releases=("brats_africa",),
        cite="Adewole et al. 2023 (arXiv 2305.19369), doi 10.7937/v8h6-8x67",
        source="patients (95 with glioma, 51 with other tumours), size of the processed images and "
        "licence: second hand, several agree",
    ),
    DataSet(
        key="msd_task01",
        title="Medical Segmentation Decathlon, Task01 (BraTS 2016 and 2017)",
        patients=484,
        size_gb=7.6,
        licence="CC BY-SA 4.0",
        access="open",
        where="Medical Segmentation Decathlon http://medicaldecathlon.com/",
        how="fetch it with python -m gliomalib data download msd_task01 --to /that/folder; "
        + _in_study("msd_task01"),
        releases=("msd_task01",),
        cite="Antonelli et al. 2022 (doi 10.1038/s41467-022-30695-9), Simpson et al. 2019 (arXiv "
        "1902.09063)",
        source="patients, 266 more without masks, and licence: Simpson et al. 2019 and the page; "
        "size, 7,608,266,240 bytes for MONAI's MD5: second hand, several agree",
    ),
    DataSet(
        key="ucsf_pdgm",
        title="UCSF-PDGM",
        patients=495,
        size_gb=142.0,
        licence="CC BY 4.0",
        access="by hand",
        where=f"{_TCIA} {_TCIA_PAGES}/collection/ucsf-pdgm/",
        how=_in_study("ucsf_pdgm"),
        releases=("ucsf_pdgm",),
        cite="Calabrese et al. 2022, doi 10.7937/tcia.bdgf-8v37",
        source="patients (501 examinations, 298 of them also in BraTS 2021), size and licence of "
        "version 5: second hand, several agree",
    ),
    DataSet(
        key="upenn_gbm",
        title="UPENN-GBM",
        patients=630,
        size_gb=69.0,
        licence="CC BY 4.0",
        access="by hand",
        where=f"{_TCIA} {_TCIA_PAGES}/collection/upenn-gbm/",
        how=_in_study("upenn_gbm"),
        releases=("upenn_gbm",),
        cite="Bakas et al. 2022, doi 10.1038/s41597-022-01560-7, doi 10.7937/TCIA.709X-DN49",
        source="patients and CC BY: Bakas et al. 2022; version of the licence, size of the NIfTI "
        "images and the 447 patients that are also in BraTS 2021: second hand",
    ),
)

CATALOGUE = {one.key: one for one in _SETS}
"""Key → data set, the paper's own first."""


def find(key: str) -> DataSet:
    """Return the data set of a key; raises ``SettingsError``, which lists the keys."""
    if key not in CATALOGUE:
        raise SettingsError(f"there is no data set {key!r}: take one of {', '.join(CATALOGUE)}")
    return CATALOGUE[key]


def table() -> pd.DataFrame:
    """Return the catalogue to be shown, a row a set; what no source says reads so."""
    rows = [
        {
            "key": one.key,
            "title": one.title,
            "patients": _told(one.patients),
            "download": _told(one.size_gb, " GB"),
            "licence": one.licence,
            "access": one.access,
            "provider": one.provider,
            "page": one.page,
            "cite": one.cite,
        }
        for one in CATALOGUE.values()
    ]
    return pd.DataFrame(rows)


def markdown() -> str:
    """Return the catalogue as the table of ``data/README.md``, ending with a line break."""
    shown = table()
    shown["from"] = "[" + shown["provider"] + "](" + shown["page"] + ")"
    shown["release key"] = "`" + shown["key"] + "`"
    names = ["title", "release key", "patients", "download", "licence", "access", "from"]
    rows = [names, ["---"] * len(names), *shown[names].itertuples(index=False)]
    return "".join(f"| {' | '.join(_cell(value) for value in row)} |\n" for row in rows)


def _told(value: float | None, unit: str = "") -> str:
    return UNKNOWN if value is None else f"{value:,g}{unit}"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")
