"""The methods of one study in sentences, every number from its settings or its records."""

import re
from collections.abc import Mapping

from gliomalib.report import references
from gliomalib.report.pages import Report, render
from gliomalib.schema import CLASS_NAMES
from gliomalib.scoring import bootstrap, training_noise
from gliomalib.verdicts.claims import Paper


def sections(report: Report) -> dict[str, str]:
    """Return the methods of a study, heading → paragraph, as ``methods.txt.j2`` words them.

    A number comes from the record of the run that it describes; without a record the settings of
    the study speak, and what only a record knows is said to be unknown.
    """
    text = render(
        "methods.txt.j2",
        report=report,
        class_names=CLASS_NAMES,
        level=bootstrap.LEVEL,
        margin=training_noise.MARGIN,
    )
    _, *parts = re.split(r"^# (.+)\n", text, flags=re.MULTILINE)
    # not str.split: a narrow space that does not break stands inside of a number
    texts = [re.sub(r"[ \n]+", " ", part).strip() for part in parts[1::2]]
    return dict(zip(parts[::2], texts, strict=True))


def plain(found: Mapping[str, str], paper: Paper) -> str:
    """Return sections as plain text to copy, with the list of what they cite."""
    body = "\n\n".join(f"{title}. {text}" for title, text in found.items())
    listed = "\n".join(f"- {work.text} {work.place}" for work in references.cited(body, paper))
    return f"{body}\n\nReferences\n{listed}"
