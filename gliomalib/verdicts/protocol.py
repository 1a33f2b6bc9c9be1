"""On what a verdict stands: the paper's protocol, a restricted one, phantoms, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gliomalib.verdicts.claims import Claim, Needs, Outcome

Protocol = Literal["full protocol", "restricted", "synthetic", "none needed"]

NOT_REACHED: Outcome = "not reached under this restriction"

EXTENTS: Mapping[str, str] = {
    "boxes": "boxes around the tumour: there is no background far from it, so false alarms "
    "elsewhere cannot happen",
    "masks": "no images: the experts' masks, on a coarser grid, stand where predictions belong",
}
"""What a case is, where it is no whole head → what that could change."""


@dataclass(frozen=True)
class Context:
    """What a study was run on: its data, the size of its networks, the classifier's weights.

    ``extent`` is what a case of the study is, as ``settings.Data`` has it.
    """

    study: str
    real_data: bool
    full_size: bool
    weights: str
    extent: str = "head"


def protocol(claim: Claim, context: Context) -> Protocol:
    """Return on what a verdict on this claim stands in this study."""
    needs = claim.testable_on
    if not (needs.real_data or needs.full_size or needs.min_patients):
        return "none needed"
    if not context.real_data:
        return "synthetic"
    return "restricted" if restrictions(needs, context) else "full protocol"


def restrictions(needs: Needs, context: Context) -> list[str]:
    """Return where the study falls short of the paper's protocol, and what that could change."""
    short = []
    if needs.full_size and not context.full_size:
        short.append(
            "the networks are smaller than the paper's protocol needs: larger ones could rank "
            "otherwise"
        )
    if needs.weights is not None and context.weights not in needs.weights:
        short.append(
            f"the classifier began from {context.weights} weights, the paper's from ImageNet"
        )
    if needs.whole_head and context.extent in EXTENTS:
        short.append(EXTENTS[context.extent])
    return short


def under_restriction(claim: Claim, outcome: Outcome) -> Outcome:
    """Return what a rule's outcome is called under a restricted protocol.

    A level that is missed may be missed because of the restriction. One that is reached is reached
    in spite of it, and a comparison within patients is decided by the rule as it stands.
    """
    is_level = claim.restricted is not None and claim.restricted.use == "level"
    return NOT_REACHED if is_level and outcome == claim.words[1] else outcome
