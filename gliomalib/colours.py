"""The colours that figures and pages share."""

from __future__ import annotations

CLASS_COLOURS = ("#8c8c8c", "#0072b2", "#009e73", "#d55e00")
"""One colour a class, everywhere; from the palette of Okabe and Ito (colour-blind safe)."""
