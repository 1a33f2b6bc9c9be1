"""The notebooks as a graph: which needs which."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gliomalib.parameters import LAST_NOTEBOOK
from gliomalib.schema import SettingsError, run_name


@dataclass(frozen=True)
class Step:
    """One notebook of the chain.

    ``after`` names the notebooks whose results it reads, ``files`` what it reads of the project
    besides; ``variants_too`` makes it wait for the variants of ``after`` as well; ``asks`` is what
    it asks of a cluster, a part of the settings ``cluster``: ``networks`` are those of which just
    one at a time may hold the GPU of one machine; ``alone`` those that measure time, beside which
    nothing else may run.
    """

    after: tuple[str, ...] = ()
    asks: Literal["data", "networks", "rest"] = "rest"
    files: tuple[str, ...] = ()
    variants_too: bool = False
    alone: bool = False


BRANCHES = ("03_train_unet2d", "04_train_unet3d")
"""What leaves the volumes that are fused; each notebook that needs them fuses them anew."""

PUBLISHED = ("data/published.yml",)
"""What a notebook reads that gives a verdict or studies the printed numbers."""

_MEASURED: Mapping[str, Step] = {
    "01_data_exploration": Step(files=("data/names.yml",), asks="data"),
    "02_preprocessing": Step(after=("01_data_exploration",), asks="data"),
    "03_train_unet2d": Step(after=("02_preprocessing",), asks="networks"),
    "04_train_unet3d": Step(after=("02_preprocessing",), asks="networks"),
    "05_fusion": Step(after=BRANCHES, variants_too=True),
    "06_train_resnet50": Step(after=BRANCHES, asks="networks"),
    "07_baselines": Step(after=(*BRANCHES, "05_fusion", "06_train_resnet50"), variants_too=True),
    "08_alpha_sweep": Step(after=("05_fusion", "06_train_resnet50", "07_baselines")),
    "09_loss_ablations": Step(
        after=(*BRANCHES, "06_train_resnet50", "07_baselines"),
        variants_too=True,
    ),
    "10_adaptive_fusion": Step(after=BRANCHES, files=PUBLISHED, variants_too=True),
    "11_leakage_audit": Step(after=BRANCHES, asks="networks"),
    "12_metric_forensics": Step(after=("03_train_unet2d",), files=PUBLISHED, variants_too=True),
    "13_external_validation": Step(
        after=("05_fusion", "06_train_resnet50"), files=PUBLISHED, asks="networks"
    ),
    "14_efficiency": Step(
        after=("05_fusion", "06_train_resnet50"), files=PUBLISHED, asks="networks", alone=True
    ),
    "15_specification_curve": Step(after=(*BRANCHES, "11_leakage_audit"), files=PUBLISHED),
}

CHAIN: Mapping[str, Step] = {
    **_MEASURED,
    LAST_NOTEBOOK: Step(
        after=tuple(_MEASURED),
        files=(*PUBLISHED, "data/assumptions.yml", "data/checklists.yml", "data/catalogue.yml"),
        variants_too=True,
    ),
}
"""Every notebook of a study, each below those that it needs; a new one is one more row."""


URGENT: Mapping[str, int] = {
    **{"05_fusion": 9, "06_train_resnet50.truth": 9, "07_baselines": 9, "08_alpha_sweep": 9},
    **{"11_leakage_audit": 8, "04_train_unet3d": 7, "03_train_unet2d": 6, "06_train_resnet50": 5},
    **{"15_specification_curve": 4, "10_adaptive_fusion": 3, "13_external_validation": 2},
}
"""Runs, or notebooks with all of their variants, of which the higher begins first."""


def urgency(notebook: str, variant: str) -> int:
    """Return how soon a run should begin: what is longest until the end comes first.

    Everything needs the two branches, 15 waits for 11, and 08 for 07, which waits for all of their
    variants and for the long control. It changes no result.
    """
    if notebook in BRANCHES and not variant:
        return 10
    return URGENT.get(run_name(notebook, variant), URGENT.get(notebook, 1))


def wanted(until: str) -> list[str]:
    """Return ``until`` and all that it needs, in order; all notebooks where it is empty.

    Raises ``SettingsError`` where there is no such notebook.
    """
    if not until:
        return list(CHAIN)
    if until not in CHAIN:
        raise SettingsError(f"there is no notebook {until!r}: take one of {', '.join(CHAIN)}")
    needed = {until}
    # each notebook stands below those that it needs
    for name in reversed(list(CHAIN)):
        if name in needed:
            needed.update(CHAIN[name].after)
    return [name for name in CHAIN if name in needed]
