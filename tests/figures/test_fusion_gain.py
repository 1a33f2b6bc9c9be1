"""The paired figure has a line for every patient, names the one who decides, and is readable."""

import numpy as np
import pandas as pd

from gliomalib.figures import fusion_gain
from gliomalib.scoring.tables import RULES


def test_every_patient_is_drawn_and_the_deciding_one_named() -> None:
    dice = {"2D": [0.5, 0.6, 0.2], "3D": [0.4, 0.5, 0.6], "fused": [0.5, 0.61, 0.8]}
    patients = pd.DataFrame(dice, index=["P1", "P2", "P3"])
    rows = [
        {"title": f"fused − {other}", "rule": rule, "difference": 0.2, "median": 0.01}
        | {"low": -0.1, "high": 0.5, "decider": "P3" if other == "2D" else ""}
        for other in ("2D", "3D")
        for rule in RULES
    ]
    picture = fusion_gain.paired(patients, pd.DataFrame(rows))
    left, right = picture.figure.axes
    np.testing.assert_allclose(left.lines[-1].get_ydata(), [0.2, 0.8, 0.6])
    assert [text.get_text() for text in right.texts] == ["P3"]
    drawn = [np.asarray(dots.get_offsets())[:, 1] for dots in right.collections[:1]]
    np.testing.assert_allclose(sorted(drawn[0]), [0, 0.01, 0.6], atol=1e-9)
    legend = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert set(RULES.values()) < set(legend)
    assert picture.alt.endswith("one patient decides: P3.")
