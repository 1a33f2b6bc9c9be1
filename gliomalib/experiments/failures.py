"""Lost classes, rings and shifted branches in the held-out patients of a study.

``scoring`` says how each failure is told from arrays; here it is asked of a study's patients
and becomes a table, values and a sentence. Every patient is tested in one fold (``splits``).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from gliomalib import records, settings
from gliomalib.experiments.values import ends, mean_interval, of, pooled_share, value
from gliomalib.fusion import average
from gliomalib.pipeline import folds
from gliomalib.schema import CLASS_NAMES, Confusion, Value, Volume, run_name
from gliomalib.scoring import alignment, bootstrap, metrics, tables
from gliomalib.scoring import collapse as collapsing
from gliomalib.scoring import rings as ringing

EDEMA = CLASS_NAMES.index("edema")
OTHERS = [label for label in range(1, len(CLASS_NAMES)) if label != EDEMA]
"""The tumour classes that a collapsed network calls edema."""

PLANTED_COLLAPSE = ("03_train_unet2d", "collapse")
"""The run whose loss gives enhancing tumour no weight."""

PLANTED = 2
"""Voxels by which the control moves a 3D volume along the first axis."""

OVERLAP = 0.7
"""Dice of the two branches' tumours from which a shift of that size must show; in branches of five
real patients it showed at 0.63 and above, and not at 0.58."""

AT_AN_END = 0.01
"""Share of a tumour that may lie where moving it cuts it off."""


@dataclass(frozen=True)
class Diagnosis:
    """Whether a failure is there: verdict, one sentence, a table to look at, values to keep."""

    verdict: collapsing.Finding
    sentence: str
    table: pd.DataFrame
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Control:
    """Whether a planted failure was found; not ``possible`` where no patient can show it."""

    possible: bool
    found: bool
    sentence: str


def voxel_confusions(material: folds.Material, network: str) -> Confusion:
    """Return a 4×4 matrix of voxels for every held-out patient, shape (patients, 4, 4)."""
    matrices = [
        tables.confusion_of(
            material.store.get(patient), folds.volume(material, network, split.fold, patient)
        )
        for split in material.splits
        for patient in split.test
    ]
    return np.stack(matrices)


def class_collapse(counts: Confusion, study: settings.Study, unit: str) -> Diagnosis:
    """Say whether a class is lost, and how much of the tumour is taken for edema.

    ``counts`` are those of ``voxel_confusions``, or of slices (``tables.patient_confusions``);
    ``unit`` says which. The table has one row a class: its share in the truth and in the
    prediction, recall with interval, what most of the missed was called, verdict. Raises what
    ``collapsing.class_collapse`` raises.
    """
    seed = settings.named_seed(study.seed, "failures", "collapse", unit)
    collapse = collapsing.class_collapse(counts, seed, study.evaluation.bootstrap)
    sentence = _sentence(f"Class collapse of {unit}", collapse.verdict, collapse.sentence)
    values = (
        _judged("class_collapse", collapse.verdict, len(counts), sentence),
        to_edema(counts, study, unit),
    )
    return Diagnosis(collapse.verdict, sentence, _fates(counts, collapse), values)


def to_edema(counts: Confusion, study: settings.Study, unit: str) -> Value:
    """Return how much of the necrotic core and enhancing tumour is called edema.

    The share is of all such voxels or slices together, its interval by resampling the patients
    who have any; NaN where nobody has.
    """
    of_others = counts[:, OTHERS]
    pairs = np.stack([of_others[:, :, EDEMA].sum(axis=1), of_others.sum(axis=(1, 2))], axis=1)
    share = pooled_share(pairs, study, "failures", "edema", unit)
    rule = f"share of the {unit} of necrotic core and enhancing tumour that are called edema"
    rule = rule if share.n else f"{rule}; no patient has any"
    return value("collapse_to_edema", share, rule, n_seeds=1)


def ring_artefacts(material: folds.Material, *, planted: bool = False) -> Diagnosis:
    """Say whether fusion makes rings of enhancing tumour in the held-out patients.

    The table has one row per patient, see ``ringing.RingCounts``. With ``planted`` all that lies
    between the branches' boundaries is enhancing in a copy of each fused volume: the control,
    whose values begin with ``planted_``.
    """
    study, counted = material.study, []
    for case, p2d, p3d in folds.branch_volumes(material, "test"):
        fused = average.weighted_average(p2d, p3d, study.fusion.alpha)
        if planted:
            fused = ringing.repainted(fused, ringing.between(p2d, p3d), enhancing=True)
        counted.append(ringing.ring_counts(case, fused, p2d, p3d))
    seed = settings.named_seed(study.seed, "failures", "rings")
    rings = ringing.ring_artefacts(counted, seed, study.evaluation.bootstrap)
    what, prefix = ("Planted rings", "planted_") if planted else ("Ring artefacts", "")
    sentence = _sentence(what, rings.verdict, rings.sentence)
    judged = sum(patient.shell >= ringing.MIN_SHELL for patient in counted)
    excess = (
        "share of the voxels between the branches' boundaries that only fusion calls enhancing, "
        "minus that of the nearest voxels beside them, mean over patients"
    )
    ratio = "rate of such voxels between the boundaries over that beside them, geometric mean"
    values = (
        _judged(f"{prefix}ring_artefacts", rings.verdict, judged, sentence),
        _measured(f"{prefix}ring_excess", rings.excess, judged, excess),
        _measured(f"{prefix}ring_ratio", rings.ratio, judged, ratio),
    )
    columns = ["patient_id", "between", "beside", "new between", "new beside", "excess", "ratio"]
    rows = [
        (row.patient_id, row.shell, row.control, row.new, row.new_control, row.excess, row.ratio)
        for row in counted
    ]
    table = pd.DataFrame(rows, columns=columns)
    return Diagnosis(rings.verdict, sentence, table, values)


def misalignment(material: folds.Material) -> Diagnosis:
    """Say whether the 3D branch is displaced against the 2D branch in the held-out patients.

    The table has one row per patient, see ``alignment.BranchShift``.
    """
    study = material.study
    shifts = [
        alignment.branch_shift(p2d, p3d) for _, p2d, p3d in folds.branch_volumes(material, "test")
    ]
    seed = settings.named_seed(study.seed, "failures", "shift")
    common = alignment.misalignment(shifts, seed, study.evaluation.bootstrap)
    sentence = _sentence("Misaligned branches", common.verdict, common.sentence)
    lengths = [
        math.hypot(*patient.shift)
        for patient in shifts
        if patient.shift is not None and patient.verdict != "cannot tell"
    ]
    mean = mean_interval(lengths, study, "failures", "length") if lengths else None
    told = "mean over the patients in whom it can be told"
    rule = f"length of the shift that fits the branches best, {told}"
    length = _measured("mean_branch_shift", mean, len(lengths), rule)
    judged = _judged("misalignment", common.verdict, len(lengths), sentence)
    values = (judged, replace(length, unit="voxels"))
    columns = ["patient_id", "x, voxels", "y, voxels", "z, voxels"]
    columns += ["difference removed", "difference left", "shift"]
    rows = [
        (row.patient_id, *(row.shift or (None,) * 3), row.gain, row.remaining, row.verdict)
        for row in shifts
    ]
    table = pd.DataFrame(rows, columns=columns)
    return Diagnosis(common.verdict, sentence, table, values)


def planted_collapse(run: records.Run) -> Control:
    """Say whether the class that the variant ``collapse`` of notebook 03 silences is found lost.

    Its clean control is the study's own network. Not ``possible`` where the study has no such
    variant or too few patients to judge one. Raises ``RecordError`` where a record is missing.
    """
    notebook, variant = PLANTED_COLLAPSE
    changes = run.study.variants.get(notebook, {}).get(variant)
    if changes is None:
        return Control(False, False, "No collapse was planted in this study.")
    names = (notebook, run_name(notebook, variant))
    read = [records.read(records.record_path(run.report_dir, name)) for name in names]
    clean, planted = (of(record.values, "class_collapse").value for record in read)
    verdicts = {number: word for word, number in collapsing.NUMBERS.items()}
    words = [verdicts.get(number, "cannot tell") for number in (planted, clean)]
    how = ", ".join(f"{name} {value}" for name, value in changes.items())
    text = (
        f"Planted collapse of the 2D network ({how}): {words[0]}; in the study's own: {words[1]}."
    )
    return Control(not math.isnan(planted), planted == 1, text)


def planted_shift(material: folds.Material) -> Control:
    """Move a 3D volume by ``PLANTED`` voxels and say whether that is found.

    The held-out patient is taken in whom the tumours of the two branches overlap most and that of
    the 3D branch does not reach either end of the axis: one that a box cuts off looks much the
    same when it is moved. Below a Dice of ``OVERLAP`` the branches see different things, and no
    shift of one against the other could be told: the control is not possible, and says so.
    """
    overlap, p2d, p3d = max(
        ((_overlap(p2d, p3d), p2d, p3d) for _, p2d, p3d in folds.branch_volumes(material, "test")),
        key=lambda pair: pair[0],
    )
    if overlap < OVERLAP:
        text = (
            f"A shift of {PLANTED} voxels could not be planted: the tumours of the two branches "
            f"overlap with a Dice of {overlap:.2f} at best where they do not reach the edge, "
            f"needed is {OVERLAP:g}."
        )
        return Control(False, False, text)
    values = np.roll(p3d.probabilities, PLANTED, axis=1)
    # roll brings the far end round to the front: it becomes no tumour
    values[:, :PLANTED], values[0, :PLANTED] = 0, 1
    moved = alignment.branch_shift(p2d, replace(p3d, probabilities=values))
    text = (
        f"A 3D volume moved by {PLANTED} voxels along the first axis ({p2d.grid.patient_id}): "
        f"shift {moved.verdict}, estimated as {moved.shift}."
    )
    return Control(True, moved.verdict == "found", text)


def _overlap(p2d: Volume, p3d: Volume) -> float:
    second = tables.predicted_labels(p3d)
    along = np.count_nonzero(second, axis=(1, 2))
    if along[:PLANTED].sum() + along[len(along) - PLANTED :].sum() > AT_AN_END * along.sum():
        return 0.0
    counts = metrics.confusion_matrix(tables.predicted_labels(p2d), second)
    dice = metrics.dice(counts, tables.REGIONS["WT"], "exclude")
    # two branches without any tumour have nothing that could be moved
    return 0.0 if math.isnan(dice) else dice


def _fates(counts: Confusion, collapse: collapsing.Collapse) -> pd.DataFrame:
    shares = counts.sum(axis=0) / max(counts.sum(), 1)
    columns = ["class", "patients", "true share", "predicted share", "recall", "low", "high"]
    columns += ["most missed became", "share of it", "verdict"]
    rows = []
    for label, fate in enumerate(collapse.classes):
        recall = fate.recall or bootstrap.Interval(math.nan, None, 0)
        true, predicted = shares[label].sum(), shares[:, label].sum()
        scored = (fate.name, fate.patients, true, predicted, recall.value, *ends(recall))
        verdict = fate.verdict or "too rare to judge"
        rows.append((*scored, fate.taken_by, fate.taken, verdict))
    return pd.DataFrame(rows, columns=columns)


def _measured(name: str, interval: bootstrap.Interval | None, n: int, rule: str) -> Value:
    if interval is None:
        interval, rule = bootstrap.Interval(math.nan, None, n), f"{rule}; too few patients to tell"
    return value(name, interval, rule, n_patients=n, n_seeds=1)


def _judged(name: str, verdict: collapsing.Finding, n: int, sentence: str) -> Value:
    rule = f"1 found, 0 not found, no number where it cannot be decided. {sentence}"
    return Value(name, collapsing.NUMBERS[verdict], n_patients=n, rule=rule, n_seeds=1)


def _sentence(what: str, verdict: collapsing.Finding, sentence: str) -> str:
    return f"{what}: {verdict}; {sentence[0].lower()}{sentence[1:]}"
