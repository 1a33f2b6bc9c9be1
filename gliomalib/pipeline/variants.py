"""The variants of a study: the same notebook run again with other parameters."""

from collections.abc import Collection
from dataclasses import dataclass

from gliomalib import settings
from gliomalib.parameters import NETWORKS, from_parameters
from gliomalib.schema import Named, SettingsError, run_name


@dataclass(frozen=True)
class Sibling(Named):
    """One run of a training notebook: the study's own (``variant`` empty), or a variant of it.

    ``study`` has the settings of that run.
    """

    notebook: str
    variant: str
    study: settings.Study

    @property
    def network(self) -> str:
        """The network that it trains, as ``folds.volume`` takes it: ``unet3d.seed2``."""
        for network, (notebook, _) in NETWORKS.items():
            if notebook == self.notebook:
                return run_name(network, self.variant)
        raise SettingsError(f"{self.notebook} trains no network")


def siblings(study: settings.Study, notebook: str, varying: Collection[str]) -> list[Sibling]:
    """Return the study's run of ``notebook`` and the variants that change only ``varying``.

    ``varying`` are names of parameters, such as ``loss`` and ``seed``; a variant that sets
    another parameter is not comparable and is left out. The study's own run comes first.
    """
    runs = [Sibling(notebook, "", study)]
    for variant, changes in study.variants.get(notebook, {}).items():
        if set(changes) <= set(varying):
            parameters = {"study": study.study, **changes}
            runs.append(Sibling(notebook, variant, from_parameters(notebook, parameters)))
    return runs
