"""The methods of one study in sentences, every number from its settings or its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from gliomalib import digits, settings
from gliomalib.report import phrases, references, words
from gliomalib.report.pages import Report
from gliomalib.schema import CLASS_NAMES, Value
from gliomalib.scoring import bootstrap, comparisons

FIRST, CROP, FLAT, DEEP, FUSED, CLASSES, TIMES = (
    "01_data_exploration",
    "02_preprocessing",
    "03_train_unet2d",
    "04_train_unet3d",
    "05_fusion",
    "06_train_resnet50",
    "14_efficiency",
)


@dataclass(frozen=True)
class Section:
    """A heading of the methods and its paragraph."""

    title: str
    text: str


def sections(report: Report) -> tuple[Section, ...]:
    """Return the methods of a study, heading by heading.

    A number comes from the record of the run that it describes; without a record the settings of
    the study speak, and what only a record knows is said to be unknown.
    """
    made = {
        "Data": _data,
        "Preprocessing": _preprocessing,
        "Split": _split,
        "Segmentation networks": _networks,
        "Training": _training,
        "Fusion": _fusion,
        "Classification": _classification,
        "Evaluation": _evaluation,
        "Further runs": _variants,
        "Software, seeds and hardware": _software,
    }
    return tuple(Section(title, make(report)) for title, make in made.items())


def plain(found: tuple[Section, ...]) -> str:
    """Return sections as plain text to copy, with the list of what they cite."""
    body = "\n\n".join(f"{one.title}. {one.text}" for one in found)
    works = references.cited(body)
    listed = "\n".join(f"- {one.text} {one.place}" for one in works)
    return f"{body}\n\nReferences\n{listed}"


def as_run(report: Report, notebook: str) -> settings.Study:
    """Return the settings with which a notebook ran, as its record says.

    Without a record, or where its parameters are not those of this version, the study's.
    """
    record = report.records.get(notebook)
    try:
        return settings.Study.model_validate(record.parameters) if record else report.study
    except ValidationError:
        return report.study


def value_of(report: Report, notebook: str, name: str) -> Value | None:
    """Return a number of a record, or None where the record or the number is missing."""
    record = report.records.get(notebook)
    values = record.values if record is not None else ()
    return next((value for value in values if value.name == name), None)


# --- paragraphs


def _data(report: Report) -> str:
    study = as_run(report, FIRST)
    source = _of_releases(study.data) if study.real_data else _of_phantoms(study.data.phantoms)
    faulty = {
        "stop": "A case with a faulty file would have stopped the study.",
        "exclude": "Cases with a faulty file were left out and listed.",
    }
    return f"{source} {_counts(report)} {faulty[study.data.on_bad_case]}"


def _of_phantoms(plan: settings.Phantoms) -> str:
    more = ""
    if plan.external:
        more = (
            f" and {plan.external} of a second site, {plan.external_site}, with another contrast, "
            "noise and slice thickness"
        )
    text = (
        f"All patients are synthetic: {plan.internal} of site {plan.site}{more}. Each is the brain "
        "of the MNI152 atlas (Fonov et al. 2011; read with nilearn, Abraham et al. 2014), deformed "
        "at random, with a tumour grown by a reaction–diffusion equation (Swanson et al. 2000), "
        "imaged in four simulated sequences (T1, contrast-enhanced T1, T2 and FLAIR) in voxels of "
        f"{plan.spacing_mm:g} mm."
    )
    if plan.copies:
        text += (
            f" {phrases.items(plan.copies, 'copy')} of internal patients, disguised or damaged, "
            f"{phrases.was(plan.copies)} put among them to see whether they are found."
        )
    return f"{text} Results on synthetic patients say nothing of the paper's claims."


def _of_releases(data: settings.Data) -> str:
    text = "All releases that the given folder holds were read."
    if data.internal_releases:
        titles = [references.title_of(name) for name in data.internal_releases]
        works = references.of_releases(data.internal_releases)
        text = f"Patients are those of {words.listed(titles)} ({works})."
    if not data.external_releases:
        return f"{text} There was no external set."
    titles = [references.title_of(name) for name in data.external_releases]
    works = references.of_releases(data.external_releases)
    return (
        f"{text} The external set, on which no network was trained, is {words.listed(titles)} "
        f"({works})."
    )


def _counts(report: Report) -> str:
    names = ("examinations", "patients_internal", "patients_external", "duplicates", "excluded")
    found = [value_of(report, FIRST, name) for name in names]
    numbers = [int(value.value) for value in found if value is not None]
    if len(numbers) < len(names):
        return f"How many took part is not known: notebook {FIRST} left no record of it."
    seen, internal, external, duplicates, excluded = numbers
    return (
        f"Of {words.counted(seen, 'examination')}, those of {words.counted(internal, 'patient')} "
        f"were used for training and testing and those of {words.counted(external, 'patient')} as "
        f"external set; {words.counted(duplicates, 'further examination')} of patients already "
        "used, known by tables of names, equal voxels or on suspicion, "
        f"{phrases.was(duplicates)} set aside, and {words.counted(excluded, 'examination')} "
        f"{phrases.was(excluded)} excluded for a fault of their files. Each patient was used once."
    )


def _preprocessing(report: Report) -> str:
    box = as_run(report, CROP).preprocessing
    depth = "all axial slices" if box.depth_mm is None else f"{box.depth_mm:g} mm along the head"
    text = (
        "Each sequence was scaled to 0–1 by its minimum and maximum over the whole scan, cut to "
        f"the central {box.crop_mm[0]:g} × {box.crop_mm[1]:g} mm of the axial plane and to "
        f"{depth}, and brought to voxels of {box.spacing_mm:g} mm: where that is a whole multiple "
        "of the scan's voxels their mean was taken, elsewhere linear interpolation. Labels "
        "followed by majority vote or by the nearest voxel."
    )
    mean = value_of(report, CROP, "mean_lost_by_box")
    worst = value_of(report, CROP, "worst_lost_by_box")
    if mean is None or worst is None:
        return f"{text} What the box cuts off the tumour is not known: {CROP} left no record of it."
    return (
        f"{text} The box cut off a share of {said(mean)} of the tumour on average and of "
        f"{digits.number(worst.value)} in the worst patient."
    )


def _split(report: Report) -> str:
    plan, tested = as_run(report, FIRST).split, value_of(report, FIRST, "patients_test")
    told = "" if tested is None else f" ({words.counted(int(tested.value), 'patient')})"
    if plan.folds == 1:
        text = (
            f"Internal patients were shuffled and divided once: {100 * plan.test_share:g} % were "
            f"held out for testing{told}"
        )
    else:
        text = (
            f"Internal patients were shuffled and divided into {plan.folds} folds, so that each "
            f"was tested once{told}, by networks trained without that fold"
        )
    val = "none was set aside for validation"
    if plan.val_share:
        of = "of all" if plan.folds == 1 else "of the remaining patients of each fold"
        val = f"{100 * plan.val_share:g} % {of} were set aside for validation"
    return f"{text}, and {val}. The division is by patient: no patient is in two parts."


def _networks(report: Report) -> str:
    flat = as_run(report, FLAT).unet2d
    deep = as_run(report, DEEP).unet3d
    box = "whole volumes" if deep.patch is None else f"boxes of {phrases.by(deep.patch)} voxels"
    text = (
        "The 2D branch is a U-Net (Ronneberger et al. 2015) as MONAI (Cardoso et al. 2022; Kerfoot "
        f"et al. 2018) builds it, {phrases.shape(flat)}. It sees every axial slice that shows any "
        f"brain ({phrases.sequences(flat)}). The 3D branch is the same network in three dimensions "
        f"(Çiçek et al. 2016), {phrases.shape(deep)}, trained on {box} "
        f"({phrases.sequences(deep)}). Both give the probabilities of four classes: "
        f"{words.listed(CLASS_NAMES)}."
    )
    counts = [value_of(report, TIMES, f"parameters_{name}") for name in ("2d", "3d", "resnet50")]
    told = [digits.number(value.value) for value in counts if value is not None]
    if len(told) < len(counts):
        return f"{text} Their numbers of parameters are not known: {TIMES} left no record of them."
    return (
        f"{text} The 2D network has {told[0]} trainable parameters, the 3D network {told[1]}, the "
        f"classifier {told[2]}."
    )


def _training(report: Report) -> str:
    flat, deep = as_run(report, FLAT).unet2d, as_run(report, DEEP).unet3d
    sample = "volume" if deep.patch is None else "box"
    return (
        f"The 2D network was trained with {phrases.loss(flat)}, "
        f"{phrases.schedule(flat, 'slice')}; the 3D network with {phrases.loss(deep)}, "
        f"{phrases.schedule(deep, sample)}. The optimiser was AdamW (Loshchilov and Hutter 2019) "
        "with PyTorch's defaults; the learning rate rose over the first twentieth of the steps and "
        "fell to zero along a cosine (Loshchilov and Hutter 2017). Half of the samples, drawn at "
        "random, were mirrored from left to right. The weights of the last epoch were used: "
        "neither validation nor held-out patients chose any."
    )


def _fusion(report: Report) -> str:
    fusion = as_run(report, FUSED).fusion
    one, other = (phrases.branch(name) for name in fusion.branches)
    return (
        f"The class probabilities of {one} (S₁) and {other} (S₂) were averaged voxel by voxel, as "
        f"in {references.PAPER.short}: S = α·S₁ + (1 − α)·S₂ with α = {fusion.alpha:g}. The class "
        "of a voxel is its most probable one."
    )


def _classification(report: Report) -> str:
    study = as_run(report, CLASSES)
    own, size = study.classifier, "left at their own size"
    if own.image_size is not None:
        size = f"resized to {own.image_size} × {own.image_size} (bilinear, antialiased)"
    drawn = ", the classes drawn equally often" if own.balanced else ""
    alpha = ""
    if study.fusion != as_run(report, FUSED).fusion:
        branches = words.listed([phrases.branch(name) for name in study.fusion.branches])
        alpha = f" Here the slices are those of {branches} with α = {study.fusion.alpha:g}."
    return (
        f"A ResNet50 (He et al. 2016) with four outputs, starting {phrases.WEIGHTS[own.weights]}, "
        "classified every axial slice. Its three channels are "
        f"{phrases.IMAGES[own.image]}, {size}.{alpha} The true class of a slice is "
        f"{phrases.RULES[own.label_rule]}, and no tumour where there is none. It was trained with "
        f"{phrases.LOSSES[own.loss]}, {phrases.schedule(own, 'slice')}{drawn}; optimiser, "
        "mirroring and choice of weights as above. All slices of a patient stay in the patient's "
        "part."
    )


def _evaluation(report: Report) -> str:
    rule = as_run(report, FUSED).evaluation
    folds = ""
    if as_run(report, FIRST).split.folds > 1:
        folds = (
            " An external patient was predicted by the networks of every fold and counts once, "
            "with the mean."
        )
    return (
        "Segmentation was scored in each patient by the Dice coefficient and the 95th percentile "
        "of the surface distances, inside of the kept box, for necrotic core (NCR), edema (ED), "
        "enhancing tumour (ET), tumour core (TC) and whole tumour (WT); "
        f"{phrases.EMPTY[rule.empty]}. Classification was scored by accuracy, precision, recall, "
        "F1, IoU, specificity, balanced accuracy and Matthews "
        "correlation over all slices together, averaged over the classes that occur. The patient "
        f"is the unit.{folds} Intervals are {100 * bootstrap.LEVEL:g} % expanded percentile "
        f"intervals (Hesterberg 2015) from {digits.number(rule.bootstrap)} draws of patients, each "
        "with all slices. Paired comparisons used Wilcoxon's signed-rank test (Wilcoxon 1945), "
        "adjusted over the listed family by Holm's procedure (Holm 1979), at "
        f"{100 * comparisons.ALPHA:g} %, and two one-sided tests (Schuirmann 1987) against a "
        f"margin of ±{comparisons.MARGIN:g} Dice, set beforehand."
    )


def _variants(report: Report) -> str:
    ran: list[str] = []
    idle: list[str] = []
    for notebook, variants in report.study.variants.items():
        for name, changed in variants.items():
            full = f"{notebook}.{name}"
            told = phrases.changes(changed)
            (ran if full in report.records else idle).append(f"{full} ({told})")
    if not ran and not idle:
        return "There were no runs with other parameters."
    text = "No run with other parameters left a record."
    if ran:
        text = f"These runs differ from the above in the named parameters only: {'; '.join(ran)}."
    return f"{text} Planned, but not run: {'; '.join(idle)}." if idle else text


def _software(report: Report) -> str:
    if not report.records:
        return "No run left a record: versions, seeds, hardware and times are not known."
    known = report.provenance
    versions = [
        f"{title} {_answers(known[name])}"
        for name, title in phrases.PACKAGES.items()
        if name in known
    ]
    used = f"Software: {words.listed(versions)}" if versions else "Versions were not recorded"
    memory = max(record.peak_memory_bytes for record in report.records.values())
    return (
        f"{used}; all else as the lock file pins it "
        f"(SHA-256 {_answers(known['lock (SHA-256)'])}). The code is "
        f"gliomalib at commit {_answers(known['commit'])}. {_seeds(known['seed'])} "
        f"{_machine(report)} All runs together took {words.duration(report.wall_s)} of wall time; "
        f"the largest used {words.memory(memory)} of memory."
    )


# --- parts of sentences


def said(value: Value) -> str:
    """Return a number with its interval for a sentence."""
    return f"{digits.number(value.value, value.ci95)} ({interval(value)})"


def interval(value: Value) -> str:
    """Return the interval of a number for brackets, or why there is none."""
    given = words.range_of(value)
    return f"95 % interval {given}" if value.ci95 is not None else given


def machine(report: Report) -> str:
    """Return the hardware in the words of notebook 14, empty where it told none."""
    timed = value_of(report, TIMES, "within_real_time")
    return timed.rule.partition("; ")[2] if timed is not None else ""


def _answers(found: Mapping[str, list[str]]) -> str:
    """Return what the records say; more than one answer is no accident to be hidden."""
    return " or ".join(found) + (" (the records differ)" if len(found) > 1 else "")


def _seeds(found: Mapping[str, list[str]]) -> str:
    main = max(found, key=lambda seed: len(found[seed]))
    others = [
        f"{words.listed(names)} {phrases.was(len(names))} run from {seed}"
        for seed, names in found.items()
        if seed != main
    ]
    text = f"All random numbers derive from the root seed {main} and the name of their purpose"
    return f"{text}; {'; '.join(others)}." if others else f"{text}."


def _machine(report: Report) -> str:
    devices = words.listed(list(report.provenance["device"]))
    threads = report.study.threads
    used = words.counted(threads, "CPU thread") if threads else "as many CPU threads as torch takes"
    timed = f" Times were measured on {told}." if (told := machine(report)) else ""
    return f"Runs used the device {devices} and {used} a notebook.{timed}"
