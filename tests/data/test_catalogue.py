"""The catalogue: complete, honest about what is not known, and shown without losing a set."""

from pathlib import Path

import pytest
import yaml

from gliomalib import labels
from gliomalib.data import catalogue
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import SettingsError

KEYS = [
    *("brats2017", "brats2018", "brats2019", "brats2020", "brats2021", "brats2023", "brats2024"),
    *("brats_africa", "msd_task01", "ucsf_pdgm", "upenn_gbm"),
]
REGISTRIES = ("pypi", "huggingface", "kaggle", "conda", "hub.docker")


def test_every_set_is_there_once_under_its_key() -> None:
    sets = catalogue.load()
    assert list(sets) == KEYS
    assert len({dataset.title for dataset in sets.values()}) == len(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_no_figure_is_without_a_source_and_what_to_do_names_the_release(key: str) -> None:
    dataset = catalogue.find(key)
    assert not [name for name in REGISTRIES if name in dataset.page.lower()]
    if dataset.patients is not None:
        assert "patients" in dataset.source
    if dataset.size_gb is not None:
        assert "size" in dataset.source
    assert "make report STUDY=" in dataset.how
    if "STUDY=brats " in dataset.how:
        assert key in ("brats2018", "brats2019", "brats2020")
    else:
        assert f"name {key} under data." in dataset.how


def test_known_facts() -> None:
    """The organisers' tables of 2019 and 2020, and the size of the archive with MONAI's MD5."""
    patients = {key: catalogue.find(key).patients for key in KEYS}
    assert [patients[f"brats{year}"] for year in range(2017, 2021)] == [285, 285, 335, 369]
    assert patients["msd_task01"] == 484
    assert round(7_608_266_240 / 1e9, 1) == catalogue.find("msd_task01").size_gb
    opened = [key for key in KEYS if catalogue.find(key).access == "open"]
    assert opened == ["msd_task01"]


def test_the_open_set_says_how_to_fetch_it_and_how_to_resume() -> None:
    how = catalogue.find("msd_task01").how
    assert "python -m gliomalib data download msd_task01 --to" in how
    assert "curl -C - -O" in how


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patients": "many"}, "sets.0.patients: .*valid integer"),
        ({"licence": ""}, "sets.0.licence: .*at least 1 character"),
        ({"page": "on request"}, "sets.0.page: "),
        ({"acess": "open"}, "sets.0.acess: Extra inputs"),
        ({"key": "brats2019"}, "a key is duplicated"),
    ],
)
def test_a_faulty_file_is_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    sets = yaml.safe_load(catalogue.CATALOGUE.read_text(encoding="utf-8"))["sets"]
    path = tmp_path / "catalogue.yml"
    path.write_text(yaml.safe_dump({"sets": [{**sets[0], **change}, *sets[1:]]}))
    with pytest.raises(SettingsError, match=f"{path}: .*{message}.*; correct the file"):
        catalogue.load(path)


def test_a_file_that_is_missing_or_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.yml: this file is missing; restore it"):
        catalogue.load(tmp_path / "none.yml")
    (tmp_path / "bad.yml").write_text("sets: [")
    with pytest.raises(SettingsError, match=r"bad.yml: not YAML .*; correct the file"):
        catalogue.load(tmp_path / "bad.yml")


@pytest.mark.parametrize("key", ["", "BraTS2020", "brats2022"])
def test_an_unknown_key_lists_the_known_ones(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        catalogue.find(key)
    assert str(caught.value) == f"there is no data set {key!r}: take one of {', '.join(KEYS)}"


def test_the_table_has_a_row_a_set() -> None:
    table = catalogue.table().set_index("key")
    assert list(table.index) == KEYS
    assert table.loc["brats2021", "patients"] == "1,251"
    assert table.loc["brats2018", "download"] == "see the provider"
    assert table.loc["ucsf_pdgm", "download"] == "142 GB"
    assert table.loc["upenn_gbm", "page"] == catalogue.find("upenn_gbm").page
    assert not table.isna().any(axis=None)


def test_the_page_of_the_data_folder_has_the_same_table() -> None:
    names = ["title", "release key", "patients", "download", "licence", "access", "from"]
    rows = [names, ["---"] * len(names)]
    for row in catalogue.table().to_dict("records"):
        links = {"from": f"[{row['provider']}]({row['page']})", "release key": f"`{row['key']}`"}
        rows.append([(row | links)[name] for name in names])
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    page = (PROJECT_DIR / "data" / "README.md").read_text(encoding="utf-8")
    assert lines in page, f"put this into data/README.md:\n{lines}"


def test_every_release_that_can_be_read_is_in_the_catalogue() -> None:
    made_here = {"phantom", "phantom_copy"}
    assert set(KEYS) == set(labels.RELEASES) - made_here
