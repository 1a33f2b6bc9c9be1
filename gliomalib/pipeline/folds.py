"""Each step of the study, carried through every fold: train, predict, fuse, score, classify."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gliomalib import progress, settings
from gliomalib.cohort import table as casetable
from gliomalib.cohort.splits import path_of, read_splits
from gliomalib.fusion import average, slices
from gliomalib.networks import predict, training
from gliomalib.networks.job import Job, NetworkName
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline import preprocess
from gliomalib.pipeline.store import Store
from gliomalib.pipeline.variants import siblings
from gliomalib.provenance import digest_of, file_digest
from gliomalib.records import Run
from gliomalib.schema import N_CLASSES, Example, MismatchError, SliceSet, Split, StoredCase, Volume
from gliomalib.scoring import tables as evaluate

Pair = tuple[str, str]
"""A 2D and a 3D network that are fused, as ``volume`` takes them."""

BRANCHES: Pair = ("unet2d", "unet3d")
SHORT = {"unet2d": "2D", "unet3d": "3D", "fused": "fused"}
"""What the networks are called in tables and figures."""


def short(network: str) -> str:
    """Return what a network, or ``network.variant``, is called in tables and figures."""
    name, _, variant = network.partition(".")
    return f"{SHORT[name]} {variant}".strip()


@dataclass(frozen=True)
class Material:
    """What every step after preprocessing works on: the run, its splits and its store."""

    run: Run
    splits: tuple[Split, ...]
    store: Store

    @property
    def study(self) -> settings.Study:
        """The settings in force."""
        return self.run.study


def open_material(run: Run, by: settings.By | None = None) -> Material:
    """Return the splits and the store that notebooks 01 and 02 left for this study.

    The splits are those ``by`` patient or site, None: those of the run. Raises ``DataError`` where
    they are missing and ``MismatchError`` where a patient of them is not in the store or is in two
    parts.
    """
    splits = read_splits(path_of(run.work_dir, by or run.study.split.by))
    store = preprocess.open_store(run.work_dir / "store", run.study.preprocessing)
    stored = set(store.patients())
    for split in splits:
        absent = [name for part in parts_of(split).values() for name in part if name not in stored]
        if absent:
            raise MismatchError(
                f"{run.work_dir}: {', '.join(absent)} of the splits not in the store; "
                "run 02_preprocessing again"
            )
    return Material(run, splits, store)


def parts_of(split: Split) -> dict[str, tuple[str, ...]]:
    """Return the patients of a split by the name of their part."""
    return {"train": split.train, "val": split.val, "test": split.test, "external": split.external}


def unplaced(material: Material) -> tuple[str, ...]:
    """Return the internal patients who are in no part of any fold, as their site is unknown."""
    cases = casetable.read_cases(material.run.work_dir / "cases.csv")
    named = {name for part in parts_of(material.splits[0]).values() for name in part}
    return tuple(sorted(set(cases.loc[cases["part"] == "internal", "patient_id"]) - named))


def scored(material: Material) -> Iterator[tuple[Split, str, str]]:
    """Yield (split, part, patient) for every patient on whom results are reported."""
    for split in material.splits:
        yield from ((split, "test", patient) for patient in split.test)
        yield from ((split, "external", patient) for patient in split.external)


def seeds(study: settings.Study, by: settings.By | None = None) -> dict[int, Pair]:
    """Return the branches of each training: 0 for the study's own seed, else that of its variants.

    Such are variants of the same name of both training notebooks that change the seed only, to the
    same one: ``{0: ("unet2d", "unet3d"), 2026: ("unet2d.seed2", "unet3d.seed2")}``. Volumes of a
    variant exist for validation and reported patients. ``by`` asks for those that were split so,
    None: as the study is; there may be none of another split.
    """
    flat, deep = (
        {
            (run.variant, run.study.seed): run.network
            for run in siblings(study, name, ("seed", "split_by"))
            if run.study.split.by == (by or study.split.by)
        }
        for name, _ in (NETWORKS[branch] for branch in BRANCHES)
    )
    # the study's own run comes last, so that no repetition of its seed takes its place
    both = {
        0 if seed == study.seed else seed: (flat[variant, seed], deep[variant, seed])
        for variant, seed in sorted(flat.keys() & deep.keys(), reverse=True)
    }
    return dict(sorted(both.items()))


def train_segmenters(material: Material, network: NetworkName) -> list[training.Trained]:
    """Train ``unet2d`` or ``unet3d`` on the training patients of every fold."""
    trained = []
    for split in material.splits:
        digest = material.store.digest((*split.train, *split.val))
        planned = job(material, network, split.fold, digest)
        cases = [material.store.get(name) for name in split.train]
        held_back = [material.store.get(name) for name in split.val]
        trained.append(training.train_segmenter(planned, cases, held_back))
    return trained


def losses(trained: Sequence[training.Trained]) -> pd.DataFrame:
    """Return the loss of every epoch of every fold: fold, epoch, part, loss, seconds."""
    tables = (made.history.assign(fold=fold) for fold, made in enumerate(trained))
    return pd.concat(tables, ignore_index=True)


def facts(trained: Sequence[training.Trained]) -> pd.DataFrame:
    """Return one row per fold: fold, parameters, epochs, seconds, device and the note."""
    rows = [
        {
            "fold": fold,
            "parameters": made.n_parameters,
            "epochs": int(made.history["epoch"].max()) + 1,
            "seconds": round(made.seconds, 1),
            "device": made.device,
            "note": made.note,
        }
        for fold, made in enumerate(trained)
    ]
    return pd.DataFrame(rows)


def checkpoint(material: Material, network: str, fold: int) -> Path:
    """Return where a finished training leaves its weights; ``network`` or ``network.variant``."""
    folder = material.run.work_dir / "checkpoints" / _named(material.run, network)
    return folder / f"fold{fold}" / "final.pt"


def predict_volumes(
    material: Material, network: str, trained: Sequence[training.Trained]
) -> pd.DataFrame:
    """Write the probability volume of every patient under every fold; return what was written.

    Volumes of training patients are what a classifier learns from: a variant writes them only
    where the study or a variant of the classifier names it as a branch.
    """
    rows = []
    for split, made in zip(material.splits, trained, strict=True):
        folder = _predictions(material, network, split.fold)
        reported = (*split.val, *split.test, *split.external)
        names = (*split.train, *reported) if _learned_from(material, network) else reported
        steps = progress.steps(names, f"{network}, fold {split.fold}: volumes")
        # one by one: all patients at once may not fit into memory
        cases = (material.store.get(name) for name in steps)
        paths = predict.segment_all(made.checkpoint, cases, folder, material.study.device)
        rows.append({"fold": split.fold, "patients": len(paths), "checkpoint": made.key})
    return pd.DataFrame(rows)


def volume(material: Material, network: str, fold: int, patient: str) -> Volume:
    """Return a predicted volume; ``fused`` is made from the study's branches with its α.

    In a study of masks, where nothing is predicted, ``fused`` is what the expert marked.
    Raises ``DataError`` where a prediction is missing and ``MismatchError`` where it was made on
    another grid than the store's.
    """
    if network == "fused" and material.study.data.extent == "masks":
        case = material.store.get(patient)
        sure = [case.labels == label for label in range(N_CLASSES)]
        return Volume(np.stack(sure).astype(np.float16), case.grid)
    if network == "fused":
        plan = material.study.fusion
        p2d, p3d = (volume(material, branch, fold, patient) for branch in plan.branches)
        return average.weighted_average(p2d, p3d, plan.alpha)
    predicted = predict.load(_predictions(material, network, fold) / f"{patient}.npy")
    # the store may have been filled anew since, with another crop
    if predicted.grid != material.store.get(patient).grid:
        raise MismatchError(
            f"{network} of {patient}: predicted on another grid than the store's; "
            "run the training notebook again"
        )
    return predicted


def segmentation_scores(material: Material, networks: Sequence[str]) -> pd.DataFrame:
    """Score the volumes of all reported patients: network, part, fold and ``score_volume``'s."""
    tables = []
    for network in networks:
        title = f"{short(network)}: scores"
        for split, part, patient in progress.steps(list(scored(material)), title):
            case = material.store.get(patient)
            predicted = volume(material, network, split.fold, patient)
            table = evaluate.score_volume(case, predicted, material.study.evaluation.empty)
            tables.append(table.assign(network=short(network), part=part, fold=split.fold))
    return pd.concat(tables, ignore_index=True)


def pair(
    material: Material, fold: int, patient: str, branches: Pair = BRANCHES
) -> tuple[Volume, Volume]:
    """Return p2d and p3d, the volumes of both branches; raises as ``volume``."""
    p2d, p3d = (volume(material, branch, fold, patient) for branch in branches)
    return p2d, p3d


def branch_volumes(
    material: Material, part: str, branches: Pair = BRANCHES
) -> Iterator[tuple[StoredCase, Volume, Volume]]:
    """Yield every patient of a part with the volumes of both branches, fold by fold."""
    places = [(split.fold, name) for split in material.splits for name in parts_of(split)[part]]
    for fold, patient in progress.steps(places, f"{part} patients"):
        yield material.store.get(patient), *pair(material, fold, patient, branches)


def ranked(material: Material, scores: pd.DataFrame, networks: Sequence[str]) -> list[Example]:
    """Return the worst, the middle and the best held-out patient by Dice of networks[0].

    By that of the whole tumour, which everybody has: no rule for empty masks chooses a patient.
    """
    rows = scores[(scores["network"] == short(networks[0])) & (scores["part"] == "test")]
    whole = rows.query("region == 'WT'").sort_values("dice", kind="stable")
    examples = []
    for _, row in whole.iloc[[0, len(whole) // 2, -1]].iterrows():
        fold, patient = int(row["fold"]), str(row["patient_id"])
        volumes = {short(name): volume(material, name, fold, patient) for name in networks}
        title = f"{patient}: whole-tumour Dice {row['dice']:.2f} ({short(networks[0])})"
        examples.append(example(material.store.get(patient), volumes, title))
    return examples


def example(case: StoredCase, volumes: Mapping[str, Volume], title: str) -> Example:
    """Return a case with the classes of some volumes, by the names that they have in a figure."""
    predictions = {name: evaluate.predicted_labels(made) for name, made in volumes.items()}
    return Example(np.asarray(case.images[slices.FLAIR]), case.labels, predictions, title)


def fused_slices(material: Material, split: Split, patients: Sequence[str]) -> SliceSet:
    """Return the fused axial slices of ``patients`` with their classes."""
    sets = []
    for patient in progress.steps(patients, f"fold {split.fold}: fused slices"):
        case = material.store.get(patient)
        fused = volume(material, "fused", split.fold, patient)
        sets.append(slices.fused_slices(fused, case.labels, material.study.classifier, case.images))
    return slices.concatenate(sets)


def train_classifiers(material: Material) -> list[training.Trained]:
    """Train a ResNet50 on the fused slices of the training patients of every fold."""
    trained = []
    for split in material.splits:
        # slices first: they say which volume is missing, and what makes it
        train = fused_slices(material, split, split.train)
        held_back = fused_slices(material, split, split.val) if split.val else None
        planned = job(material, "resnet50", split.fold, _fused_digest(material, split))
        trained.append(training.train_classifier(planned, train, held_back))
    return trained


def classify_slices(material: Material, trained_in: Material | None = None) -> pd.DataFrame:
    """Return one row per slice of every reported patient.

    The classifiers are those of ``trained_in``, None: of ``material`` itself. Columns: patient_id,
    z, truth, predicted, p0–p3 (the probabilities of the four classes), fold, part. Raises
    ``RecordError`` where a classifier is missing or damaged, and what ``volume`` raises.
    """
    tables = []
    for split in material.splits:
        weights = checkpoint(trained_in or material, "resnet50", split.fold)
        for part, patients in (("test", split.test), ("external", split.external)):
            if patients:
                images = fused_slices(material, split, patients)
                probabilities = predict.classify(weights, images, material.study.device)
                told = {"patient_id": images.patients, "z": images.z, "truth": images.classes}
                told["predicted"] = probabilities.argmax(axis=1)
                told |= {f"p{label}": column for label, column in enumerate(probabilities.T)}
                tables.append(pd.DataFrame(told).assign(fold=split.fold, part=part))
    return pd.concat(tables, ignore_index=True)


def job(material: Material, network: NetworkName, fold: int, digest: str) -> Job:
    """Return the training of a network on a fold, of samples that ``digest`` stands for."""
    study = material.study
    return Job(
        network=network,
        settings=getattr(study, NETWORKS[network][1]),
        fold=fold,
        seed=study.seed,
        device=study.device,
        threads=study.threads,
        directory=checkpoint(material, network, fold).parent,
        data_digest=digest,
        compute=study.compute,
    )


def _named(run: Run, network: str) -> str:
    """Return the folder of a network: a run with a variant means the one that it trains itself."""
    trains_it = run.notebook == NETWORKS.get(network, ("",))[0]
    return f"{network}.{run.variant}" if trains_it and run.variant else network


def _learned_from(material: Material, network: str) -> bool:
    """Tell whether a classifier learns from the volumes that this run makes with ``network``."""
    classifiers = material.study.variants.get(NETWORKS["resnet50"][0], {})
    branches = {name for changes in classifiers.values() for name in changes.get("branches", ())}
    branches |= {*material.study.fusion.branches}
    return not material.run.variant or _named(material.run, network) in branches


def _predictions(material: Material, network: str, fold: int) -> Path:
    return material.run.work_dir / "predictions" / _named(material.run, network) / f"fold{fold}"


def _fused_digest(material: Material, split: Split) -> str:
    """Return a digest of the volumes and the α of which a fold's slices are made."""
    parts = []
    # by the bytes of the volumes: networks trained anew to the same bits change nothing
    for branch in material.study.fusion.branches:
        folder = _predictions(material, branch, split.fold)
        parts += [file_digest(folder / f"{name}.npy") for name in (*split.train, *split.val)]
    return digest_of([parts, material.study.fusion.alpha, material.store.key])
