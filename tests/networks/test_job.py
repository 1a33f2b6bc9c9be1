"""A job is called by its fold or label, and its seeds depend on what is in their names."""

from dataclasses import replace
from pathlib import Path

from gliomalib.provenance import reached
from tests.networks import toys


def test_a_training_is_called_by_its_label_or_by_its_fold(tmp_path: Path) -> None:
    job = replace(toys.classify_job(tmp_path), fold=2)
    assert job.title == "resnet50, fold 2"
    assert replace(job, label="true classes by slice").title == "resnet50, true classes by slice"


def test_every_purpose_has_a_seed_of_its_own(tmp_path: Path) -> None:
    job = toys.job(tmp_path)
    others = [job, replace(job, fold=1), replace(job, seed=8), replace(job, network="unet3d")]
    seeds = {one.seed_of(*names) for one in others for names in (("val",), ("epoch", 0))}
    assert len(seeds) == 8
    assert job.seed_of("val") == replace(job, label="other", threads=2).seed_of("val")


def test_asking_for_a_training_does_not_bring_the_loop() -> None:
    assert "networks.loop" not in reached(["networks.job"])
