"""What a finished study offers: its networks, their settings, and who they were trained on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from gliomalib import records
from gliomalib.cohort import pseudonyms, splits
from gliomalib.cohort.table import MADE_BY, read_cases
from gliomalib.data.inspection import Inspection
from gliomalib.data.readers import brats
from gliomalib.parameters import NETWORKS
from gliomalib.pipeline import patient, preprocess
from gliomalib.provenance import file_digest
from gliomalib.schema import DataError, RecordError, SettingsError, Split
from gliomalib.settings import Classifier, Segmentation, Study, load


@dataclass(frozen=True)
class TrainedNetwork:
    """A finished training: its weights, its key, its settings, and the digest of its images."""

    weights: Path
    key: str
    settings: Segmentation | Classifier
    data_digest: str


@dataclass(frozen=True)
class Fold:
    """The three networks of one fold by name, and who they were trained on."""

    split: Split
    networks: Mapping[str, TrainedNetwork]


@dataclass(frozen=True)
class Finished:
    """The networks of a finished study and the settings by which they were made.

    ``study`` holds the networks' settings as their checkpoints say them, and preprocessing and α
    as the record of the classifier says them: the α by which its training slices were fused.
    ``cases`` is the study's table of cases, ``commit`` that of the classifier's record,
    ``data_dir`` the parent of the study's working folder.
    """

    study: Study
    folds: tuple[Fold, ...]
    cases: pd.DataFrame
    caveats: tuple[str, ...]
    commit: str
    data_dir: Path
    _loaded: dict[tuple[int, str], patient.Networks] = field(default_factory=dict, compare=False)

    def networks(self, fold: Fold, device: str) -> patient.Networks:
        """Return the networks of a fold, loaded once for all cases; raises as ``patient.load``."""
        place = (fold.split.fold, device)
        if place not in self._loaded:
            checkpoints = {name: network.weights for name, network in fold.networks.items()}
            self._loaded[place] = patient.load(checkpoints, device)
        return self._loaded[place]

    def chosen(self, fold: int | None) -> tuple[Fold, ...]:
        """Return one fold, or all of them for None; raises ``SettingsError`` for another number."""
        chosen = tuple(part for part in self.folds if fold in (None, part.split.fold))
        if not chosen:
            numbers = ", ".join(str(part.split.fold) for part in self.folds)
            raise SettingsError(f"{self.study.study} has no fold {fold}: take one of {numbers}")
        return chosen

    def parts(self, seen: Inspection, folds: Sequence[Fold]) -> dict[int, str]:
        """Return fold → part of its split in which the patient of a case is, where it is in any.

        Known by the voxels of T1, however they are stored, or by a file that the study has read;
        where patient and study are real also by the ID of case or patient.
        """
        names = self._names(seen)
        # under two names in two parts, the part that tells most against a result counts
        return {
            fold.split.fold: part
            for fold in folds
            for part in ("external", "test", "val", "train")
            if names & set(getattr(fold.split, part))
        }

    def _names(self, seen: Inspection) -> set[str]:
        """Return what the study may call the patient of a case."""
        case, table, names = seen.case, self.cases, set()
        # of phantoms another seed makes others with the same IDs, and a user may name them at will
        synthetic = any((path.parent / brats.CARD).exists() for path in case.images.values())
        if self.study.real_data and not synthetic:
            names = {case.case_id, case.patient_id}
        if names and self.study.pseudonyms:
            hidden = pseudonyms.open_pseudonyms(self.data_dir)
            names |= {hidden.case(case.case_id), hidden.patient(case.patient_id)}
        same = table["digests"].map(lambda cell: bool({*case.digests} & {*str(cell).split()}))
        same |= table["content"] == seen.content
        rows = table[table["case_id"].isin(names) | table["patient_id"].isin(names) | same]
        return names | set(rows["patient_id"])


def open_finished(study: str, data_dir: str | Path, report_dir: str | Path) -> Finished:
    """Return what the finished ``study`` offers; the folders are the parents of the study's own.

    Raises ``SettingsError`` for an unknown study, ``RecordError`` for a part that is missing,
    damaged or does not fit the others, and what ``read_splits`` and ``read_cases`` raise; each
    says which notebook to run.
    """
    data_dir, work = Path(data_dir), Path(data_dir) / study
    dealt = splits.path_of(work, load(study).split.by)
    for path in (work / "cases.csv", dealt):
        if not path.is_file():
            raise RecordError(
                f"{path}: this study has not been run here; run {MADE_BY}, or all "
                f"notebooks with python -m gliomalib study {work.name}"
            )
    folds = tuple(
        Fold(split, {name: _training(work, name, split.fold) for name in NETWORKS})
        for split in splits.read_splits(dealt)
    )
    recorded = {name: _record(Path(report_dir) / study, name) for name in NETWORKS}
    settings = _as_trained(folds, {name: ran for name, (ran, _) in recorded.items()})
    if settings.pseudonyms and not (data_dir / pseudonyms.KEY_FILE).is_file():
        raise RecordError(
            f"{data_dir / pseudonyms.KEY_FILE}: the key of the pseudonyms is missing, so nobody "
            f"knows who was trained on; put it back, or run {MADE_BY} and the rest again"
        )
    return Finished(
        study=settings,
        folds=folds,
        cases=read_cases(work / "cases.csv"),
        caveats=(*settings.caveats, *_store_caveats(work, settings, folds)),
        commit=recorded["resnet50"][1],
        data_dir=data_dir,
    )


def _training(work: Path, network: str, fold: int) -> TrainedNetwork:
    folder = work / "checkpoints" / network / f"fold{fold}"
    weights, summary = folder / "final.pt", folder / "training.json"
    notebook = NETWORKS[network][0]
    for path in (weights, summary):
        if not path.is_file():
            raise RecordError(f"{path}: this network is not trained; run {notebook}")
    try:
        content = json.loads(summary.read_text(encoding="utf-8"))
        fits = content["network"] == network and content["weights_sha256"] == file_digest(weights)
        kind = Classifier if network == "resnet50" else Segmentation
        settings = kind.model_validate(content["settings"])
        trained = TrainedNetwork(weights, content["key"], settings, content["data_digest"])
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(repr(error).split())
        raise RecordError(f"{summary}: damaged ({reason:.120}); run {notebook} again") from None
    if not fits:
        raise RecordError(f"{weights}: not the weights of {summary.name}; run {notebook} again")
    return trained


def _record(report_dir: Path, network: str) -> tuple[Study, str]:
    """Return the settings in force when a network was trained, and the commit of the project."""
    notebook = NETWORKS[network][0]
    path = records.record_path(report_dir, notebook)
    record = records.read(path)
    try:
        return Study.model_validate(record.parameters), str(record.provenance["commit"])
    except (ValidationError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise RecordError(
            f"{path}: its settings cannot be read ({reason:.120}); run {notebook} again"
        ) from None


def _as_trained(folds: Sequence[Fold], recorded: Mapping[str, Study]) -> Study:
    """Return the classifier's study with the networks' settings from their checkpoints."""
    study, trained = recorded["resnet50"], {}
    for network, (notebook, section) in NETWORKS.items():
        first, *others = (fold.networks[network] for fold in folds)
        if any(other.settings != first.settings for other in others):
            raise RecordError(
                f"{first.weights.parent.parent}: folds were trained with different settings; "
                f"run {notebook} again"
            )
        if recorded[network].preprocessing != study.preprocessing:
            raise RecordError(
                f"{notebook} ran with preprocessing {recorded[network].preprocessing} and "
                f"{NETWORKS['resnet50'][0]} with {study.preprocessing}; run both again"
            )
        trained[section] = first.settings
    return study.model_copy(update=trained)


def _store_caveats(work: Path, settings: Study, folds: Sequence[Fold]) -> list[str]:
    """Say so where it cannot be shown that the U-Nets saw images prepared as they are now."""
    store = preprocess.open_store(work / "store", settings.preprocessing)
    try:
        same = all(
            fold.networks[network].data_digest == store.digest((*fold.split.train, *fold.split.val))
            for fold in folds
            for network in ("unet2d", "unet3d")
        )
    except DataError:
        same = False
    caveat = (
        "The networks' training images are not in the store that these settings and this code "
        "make, so this case may be prepared otherwise than they were; run 02_preprocessing and "
        "what follows it again."
    )
    return [] if same else [caveat]
