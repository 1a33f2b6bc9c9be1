"""What a model card says of the trained networks, from records only (Mitchell et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from gliomalib import settings
from gliomalib.report.facts import CLASSES, TIMES, UNET2D, UNET3D, as_run, value_of
from gliomalib.report.pages import Report
from gliomalib.schema import Record, Value


@dataclass(frozen=True)
class Network:
    """One trained network: its settings, its sizes, and the run that trained it.

    Sizes are those of notebook 14, None where it told none.
    """

    title: str
    run: str
    plan: settings.Optimisation
    parameters: Value | None
    operations: Value | None
    record: Record | None


def networks(report: Report) -> tuple[Network, ...]:
    """Return the three networks as the records describe them."""
    rows = (
        ("2D U-Net", UNET2D, "2d", as_run(report, UNET2D).unet2d),
        ("3D U-Net", UNET3D, "3d", as_run(report, UNET3D).unet3d),
        ("ResNet50", CLASSES, "resnet50", as_run(report, CLASSES).classifier),
    )
    return tuple(
        Network(
            title=title,
            run=run,
            plan=plan,
            parameters=value_of(report, TIMES, f"parameters_{short}"),
            operations=value_of(report, TIMES, f"gflops_{short}"),
            record=report.records.get(run),
        )
        for title, run, short, plan in rows
    )
