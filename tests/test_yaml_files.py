"""A file is read as the model it must be, or refused in one sentence that names file and fault."""

from pathlib import Path

import pytest

from gliomalib import yaml_files
from gliomalib.schema import SettingsError


class Sample(yaml_files.Model):
    name: str
    size: int = 1


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_becomes_its_model(tmp_path: Path) -> None:
    path = written(tmp_path, "name: a\nsize: 2\n")
    assert yaml_files.read(path, Sample) == Sample(name="a", size=2)
    assert yaml_files.content_of(path) == {"name": "a", "size": 2}
    assert yaml_files.content_of(written(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nsizes: 2\n", r"a.yml: sizes: .*found 2.*correct the file"),
        ("name: a\nsize: big\n", r"a.yml: size: .*found 'big'"),
        ("size: 2\n", r"a.yml: name: Field required"),
        ("name: [\n", r"a.yml: not YAML .*correct the file"),
    ],
)
def test_a_fault_is_named_with_its_place_and_value(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        yaml_files.read(written(tmp_path, text), Sample)


def test_what_is_not_lines_of_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"a.yml: settings are lines of .key: value., found"):
        yaml_files.content_of(written(tmp_path, "- a\n"))
    with pytest.raises(SettingsError, match=r"b.yml: this file is missing"):
        yaml_files.content_of(tmp_path / "b.yml")
