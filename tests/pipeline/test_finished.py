"""What a finished study offers: the networks as trained, nothing missing unnoticed, who is who."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gliomalib import records, settings
from gliomalib.cohort import pseudonyms, splits, table
from gliomalib.data.inspection import Inspection
from gliomalib.parameters import NETWORKS
from gliomalib.phantoms import write
from gliomalib.pipeline import finished, preprocess
from gliomalib.provenance import file_digest
from gliomalib.schema import SEQUENCES, Case, RecordError, SettingsError, Split, StoredCase, Value
from tests.planted_branches import begin, grid

SPLITS = (
    Split(0, ("A",), ("B",), ("C", "D"), ("E",)),
    Split(1, ("C", "D"), (), ("A", "B"), ("E",)),
)
SHAPE = (4, 4, 4)


def case_of(name: str, patient: str = "") -> Case:
    digests = tuple(f"{name}-{sequence}" for sequence in SEQUENCES)
    images = {sequence: Path(f"/{name}_{sequence}.nii") for sequence in SEQUENCES}
    return Case(name, patient or name, "brats2020", images, None, digests=digests)


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def edit_settings(root: Path, network: str, **changes: Any) -> None:
    path = records.record_path(root / "reports" / "smoke", NETWORKS[network][0])
    edit(path, parameters={**records.read(path).parameters, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a study that looks finished: the weights are some bytes, the rest is as it must be."""
    study, top = settings.load("smoke"), tmp_path_factory.mktemp("made")
    work = top / "data" / "smoke"
    splits.write_splits(SPLITS, work / "splits.json")
    seen = {name: looked_at(case_of(name), content=f"voxels of {name}") for name in "ABC"}
    entries = [table.Entry(case_of(name), "internal", seen=seen.get(name)) for name in "ABCDE"]
    entries.append(table.Entry(case_of("A-again", "A"), "duplicate"))
    table.write_cases(table.table_of(entries), work / "cases.csv")
    store = preprocess.open_store(work / "store", study.preprocessing)
    for name in "ABCDE":
        images = np.full((4, *SHAPE), ord(name) / 100, dtype=np.float16)
        store.put(StoredCase(grid(name, SHAPE), images, np.zeros(SHAPE, np.uint8)), "digest", {})
    for network, (_, section) in NETWORKS.items():
        run = begin(top, NETWORKS[network][0])
        records.finish(run, records.NotebookResult(values=[Value("one", 1.0, rule="as it is")]))
        for split in SPLITS:
            folder = work / "checkpoints" / network / f"fold{split.fold}"
            folder.mkdir(parents=True)
            (folder / "final.pt").write_bytes(f"{network}{split.fold}".encode())
            told = {
                "network": network,
                "key": f"key of {network}{split.fold}",
                "settings": getattr(study, section).model_dump(mode="json"),
                "data_digest": store.digest((*split.train, *split.val)),
                "weights_sha256": file_digest(folder / "final.pt"),
            }
            (folder / "training.json").write_text(json.dumps(told), encoding="utf-8")
    return top


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that study to spoil."""
    return Path(shutil.copytree(made, tmp_path / "study"))


def opened(root: Path) -> finished.Finished:
    return finished.open_finished("smoke", root / "data", root / "reports")


def summary(root: Path, network: str, fold: int) -> Path:
    return root / "data/smoke/checkpoints" / network / f"fold{fold}" / "training.json"


def test_everything_is_found(root: Path) -> None:
    found = opened(root)
    assert [fold.split for fold in found.folds] == list(SPLITS)
    assert set(found.folds[1].networks) == {"unet2d", "unet3d", "resnet50"}
    assert found.folds[1].networks["unet3d"].key == "key of unet3d1"
    assert found.folds[1].networks["unet3d"].weights.read_bytes() == b"unet3d1"
    # what a cluster is asked for is no part of a record
    assert found.study.model_dump() == settings.load("smoke").model_dump()
    assert found.caveats == found.study.caveats
    assert found.commit


def test_the_networks_are_those_of_the_checkpoints(root: Path) -> None:
    other = settings.load("smoke").unet2d.model_copy(update={"channels": (4, 8), "epochs": 99})
    for fold in (0, 1):
        edit(summary(root, "unet2d", fold), settings=other.model_dump(mode="json"))
    found = opened(root)
    assert found.study.unet2d == other
    assert "Small networks that fit a CPU: 8 (2D) and 32 (3D)" in " ".join(found.caveats)


def test_alpha_and_preprocessing_are_those_of_the_records(root: Path) -> None:
    for network in NETWORKS:
        alpha = 0.25 if network == "resnet50" else 0.75
        edit_settings(root, network, preprocessing={"spacing_mm": 2.0}, fusion={"alpha": alpha})
    found = opened(root)
    assert found.study.preprocessing.spacing_mm == 2.0
    assert found.study.fusion.alpha == 0.25


OTHER = settings.load("smoke").unet3d.model_copy(update={"epochs": 99}).model_dump(mode="json")


@pytest.mark.parametrize(
    ("network", "fold", "changes", "message"),
    [
        (
            "unet2d",
            None,
            {"preprocessing": {"spacing_mm": 2.0}},
            r"03_train_unet2d ran with .*spacing_mm=2.0.* run both",
        ),
        ("unet3d", 1, {"settings": OTHER}, r"folds were trained with different.*04_train_unet3d"),
        ("unet3d", 0, {"network": "unet2d"}, r"not the weights of training.json; run 04_train"),
        ("unet3d", 0, {"settings": {"wings": 2}}, r"training.json: damaged .*wings.* 04_train"),
        ("resnet50", 1, {"settings": {}}, r"fold1/training.json: damaged .*epochs.* 06_train"),
        ("resnet50", None, {"wings": 2}, r"its settings cannot be read .* run 06_train_resnet50"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    network: str, fold: int | None, changes: dict[str, Any], message: str, root: Path
) -> None:
    if fold is None:
        edit_settings(root, network, **changes)
    else:
        edit(summary(root, network, fold), **changes)
    with pytest.raises(RecordError, match=message):
        opened(root)


MISSING = {
    "data/smoke/splits.json": "run 01_data_exploration, .* study smoke",
    "data/smoke/cases.csv": "run 01_data_exploration",
    "data/smoke/checkpoints/unet2d/fold0/final.pt": "not trained; run 03_train_unet2d",
    "data/smoke/checkpoints/unet3d/fold1/training.json": "not trained; run 04_train_unet3d",
    "data/smoke/checkpoints/resnet50/fold1/final.pt": "not trained; run 06_train_resnet50",
    "reports/smoke/records/03_train_unet2d.json": "record is missing; run its notebook",
    "reports/smoke/records/06_train_resnet50.json": "record is missing; run its notebook",
}
DAMAGED = {
    "data/smoke/checkpoints/unet2d/fold0/final.pt": r"not the weights of .* run 03_train_unet2d",
    "data/smoke/checkpoints/unet3d/fold0/training.json": "damaged .* run 04_train_unet3d again",
    "reports/smoke/records/06_train_resnet50.json": "not a record",
}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [*((None, *row) for row in MISSING.items()), *(("{}", *row) for row in DAMAGED.items())],
)
def test_each_missing_or_damaged_part_is_named(
    content: str | None, name: str, message: str, root: Path
) -> None:
    (root / name).unlink()
    if content:
        (root / name).write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=f"{name}: .*{message}"):
        opened(root)


def test_an_unknown_study_is_refused(root: Path) -> None:
    with pytest.raises(SettingsError, match="there is no study 'none': take one of"):
        finished.open_finished("none", root / "data", root / "reports")


@pytest.mark.parametrize("what", ["gone", "other images", "other code"])
def test_images_that_were_prepared_otherwise_are_a_caveat(
    what: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = preprocess.open_store(root / "data/smoke/store", settings.load("smoke").preprocessing)
    if what == "gone":
        (store.folder / "C.json").unlink()
    elif what == "other images":
        old = store.get("C")
        store.put(replace(old, images=old.images * 2), "digest", {})
    else:
        monkeypatch.setattr(preprocess, "code_digest", lambda *names: "other")
    (caveat,) = set(opened(root).caveats) - set(settings.load("smoke").caveats)
    assert "may be prepared otherwise" in caveat


def test_one_fold_or_all_of_them(root: Path) -> None:
    found = opened(root)
    assert found.chosen(None) == found.folds
    assert found.chosen(1) == found.folds[1:]
    with pytest.raises(SettingsError, match="smoke has no fold 2: take one of 0, 1"):
        found.chosen(2)


REAL = {"source": "folder", "internal_releases": ["brats2020"]}


def of_real_patients(root: Path) -> finished.Finished:
    edit_settings(root, "resnet50", data=REAL)
    return opened(root)


def looked_at(case: Case, *digests: str, content: str | None = None) -> Inspection:
    return Inspection(replace(case, digests=digests), (), content=content)


@pytest.mark.parametrize(
    ("case", "parts"),
    [
        (case_of("A"), {0: "train", 1: "test"}),
        (case_of("B"), {0: "val", 1: "test"}),
        (case_of("E"), {0: "external", 1: "external"}),
        (case_of("A-again"), {0: "train", 1: "test"}),
        (case_of("new name of the case", "C"), {0: "test", 1: "train"}),
        (case_of("F"), {}),
    ],
)
def test_a_real_patient_is_known_by_id(root: Path, case: Case, parts: dict[int, str]) -> None:
    found, seen = of_real_patients(root), looked_at(case, "x")
    assert found.parts(seen, found.folds) == parts
    assert found.parts(seen, found.folds[:1]) == {k: v for k, v in parts.items() if k == 0}


def test_nobody_is_known_by_the_id_of_a_phantom(root: Path, tmp_path: Path) -> None:
    found, case = opened(root), case_of("A")
    assert found.parts(looked_at(case, "x"), found.folds) == {}
    # nor is a phantom that was given the name of a real patient
    images = {name: tmp_path / "A" / f"A_{name}.nii.gz" for name in SEQUENCES}
    real, phantom = of_real_patients(root), replace(case, images=images)
    assert real.parts(looked_at(phantom, "x"), real.folds) == {0: "train", 1: "test"}
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / write.CARD).write_text("{}", encoding="utf-8")
    assert real.parts(looked_at(phantom, "x"), real.folds) == {}
    assert real.parts(looked_at(phantom, "A-t1"), real.folds) == {0: "train", 1: "test"}


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_patient_is_known_by_one_file(root: Path, sequence: str) -> None:
    found, seen = opened(root), looked_at(case_of("F"), "x", f"D-{sequence}")
    assert found.parts(seen, found.folds) == {0: "test", 1: "train"}


def test_a_patient_is_known_by_voxels(root: Path) -> None:
    found = opened(root)
    parts = found.parts(looked_at(case_of("F"), "x", content="voxels of B"), found.folds)
    assert parts == {0: "val", 1: "test"}
    assert found.parts(looked_at(case_of("F"), "x", content="others"), found.folds) == {}
    # whoever has no fingerprint is not taken for another one without
    assert found.parts(looked_at(case_of("F"), ""), found.folds) == {}


def test_a_patient_under_two_names_counts_as_trained_on(root: Path) -> None:
    found = of_real_patients(root)
    for case, digest in (("A", "C-t1"), ("C", "A-t1")):
        assert found.parts(looked_at(case_of(case), digest), found.folds[:1]) == {0: "train"}


def test_pseudonyms_are_looked_through(root: Path) -> None:
    names = pseudonyms.open_pseudonyms(root / "data")
    work = root / "data" / "smoke"
    parts = ("train", "val", "test")
    hidden = [
        Split(one.fold, *[tuple(map(names.patient, getattr(one, part))) for part in parts])
        for one in SPLITS
    ]
    splits.write_splits(hidden, work / "splits.json")
    cases = [
        replace(case_of(name), case_id=names.case(name), patient_id=names.patient(name))
        for name in "ABCD"
    ]
    entries = [table.Entry(case, "internal") for case in cases]
    table.write_cases(table.table_of(entries), work / "cases.csv")
    edit_settings(root, "resnet50", pseudonyms=True, data=REAL)
    found = opened(root)
    assert found.parts(looked_at(case_of("A")), found.folds) == {0: "train", 1: "test"}
    assert found.parts(looked_at(case_of("new", "C")), found.folds) == {0: "test", 1: "train"}
    assert found.parts(looked_at(case_of("F"), "D-t2"), found.folds) == {0: "test", 1: "train"}
    assert found.parts(looked_at(case_of("F")), found.folds) == {}
    (root / "data" / pseudonyms.KEY_FILE).unlink()
    with pytest.raises(RecordError, match=r"key of the pseudonyms is missing, .* put it back"):
        opened(root)
