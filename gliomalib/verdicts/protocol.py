"""On what a verdict stands: the paper's protocol, a restricted one, phantoms, or nothing at all."""

from collections.abc import Mapping
from typing import Literal

from gliomalib.settings import Study
from gliomalib.verdicts.claims import Claim, Needs, Outcome

Protocol = Literal["full protocol", "restricted", "synthetic", "none needed"]

NOT_REACHED: Outcome = "not reached under this restriction"

EXTENTS: Mapping[str, str] = {
    "boxes": "boxes around the tumour: there is no background far from it, so false alarms "
    "elsewhere cannot happen",
    "masks": "no images: the experts' masks, on a coarser grid, stand where predictions belong",
}
"""What a case is, where it is no whole head → what that could change."""


def protocol(claim: Claim, study: Study) -> Protocol:
    """Return on what a verdict on this claim stands in this study."""
    needs = claim.testable_on
    if not (needs.real_data or needs.full_size or needs.min_patients):
        return "none needed"
    if not study.real_data:
        return "synthetic"
    return "restricted" if restrictions(needs, study) else "full protocol"


def restrictions(needs: Needs, study: Study) -> list[str]:
    """Return where the study falls short of the paper's protocol, and what that could change."""
    short = []
    if needs.full_size and not study.full_size:
        short.append(
            "the networks are smaller than the paper's protocol needs: larger ones could rank "
            "otherwise"
        )
    if needs.weights is not None and study.classifier.weights not in needs.weights:
        short.append(
            f"the classifier began from {study.classifier.weights} weights, the paper's from "
            "ImageNet"
        )
    if needs.whole_head and study.data.extent in EXTENTS:
        short.append(EXTENTS[study.data.extent])
    return short


def under_restriction(claim: Claim, outcome: Outcome) -> Outcome:
    """Return what a rule's outcome is called under a restricted protocol.

    A level that is missed may be missed because of the restriction. One that is reached is reached
    in spite of it, and a comparison within patients is decided by the rule as it stands.
    """
    is_level = claim.restricted is not None and claim.restricted.use == "level"
    return NOT_REACHED if is_level and outcome == claim.words[1] else outcome
