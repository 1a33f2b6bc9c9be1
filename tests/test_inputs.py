"""What a user names and writes is taken as it is, or refused in one sentence."""

import os
import unicodedata
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from gliomalib import inputs
from gliomalib.schema import SettingsError
from tests.nasty import NAMES

NAME = st.binary(min_size=1, max_size=200).map(
    lambda name: name.replace(b"/", b"").replace(b"\0", b"")
)


@given(name=st.one_of(NAME, st.text(max_size=60).map(lambda text: text.encode(errors="ignore"))))
def test_any_name_is_the_folder_of_that_name_or_one_sentence(name: bytes) -> None:
    text = os.fsdecode(name.replace(b"/", b"").replace(b"\0", b""))
    try:
        found = inputs.absolute(f"/nowhere/{text}")
    except SettingsError as error:
        assert "is not UTF-8" in str(error) and "\n" not in str(error)
        with pytest.raises(UnicodeDecodeError):
            os.fsencode(text).decode()
    else:
        expected = "/nowhere" if text in ("", ".") else "/" if text == ".." else f"/nowhere/{text}"
        assert str(found) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_name_from_here_is_below_here(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert inputs.absolute(name) == tmp_path / name


def test_forms_of_one_letter_are_different_folders(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, f"{tmp_path}/ü") for form in ("NFC", "NFD")]
    assert len({inputs.absolute(text) for text in forms}) == 2


def test_home_is_meant_by_its_sign_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert inputs.absolute("~/x") == Path("/home/me/x")
    assert inputs.absolute("~root") == tmp_path / "~root"
    assert inputs.absolute("./~") == tmp_path / "~", "said so: it is a folder here"


def test_links_are_followed_and_circles_named(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert inputs.absolute(f"{tmp_path}/link/../x") == tmp_path / "x"
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(SettingsError, match="circle': leads nowhere"):
        inputs.absolute(f"{tmp_path}/circle")
    with pytest.raises(SettingsError, match="leads nowhere"):
        inputs.absolute("a\0b")


@pytest.mark.parametrize(
    ("content", "sound"),
    [
        ("a: ü".encode(), True),
        ("a: ü".encode("utf-8-sig"), True),
        (b"a: 1\r\nb: 2\r\n", True),
        ("a: 1\nb: ü".encode("cp1252"), False),
        ("a: ü".encode("utf-16"), False),
        ("a: ü".encode("shift-jis", errors="replace") + b"\x83", False),
    ],
)
def test_texts_are_utf_8_or_named(content: bytes, sound: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(content)
    for read in (inputs.content_of, lambda path: inputs.read(path, dict[str, object])):
        if sound:
            assert read(path)["a"] in (1, "ü")
            continue
        with pytest.raises(SettingsError, match=r"a.yml: not UTF-8 \(line \d\); save it as UTF-8"):
            read(path)


class Round(BaseModel):
    kind: Literal["round"]


class Square(BaseModel):
    kind: Literal["square"]


class Sample(inputs.Model):
    name: str
    size: int = 1
    form: Annotated[Round | Square, Field(discriminator="kind")] = Round(kind="round")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_becomes_its_model(tmp_path: Path) -> None:
    path = written(tmp_path, "name: a\nsize: 2\n")
    assert inputs.read(path, Sample) == Sample(name="a", size=2)
    assert inputs.content_of(path) == {"name": "a", "size": 2}
    assert inputs.content_of(written(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nsizes: 2\n", r"a.yml: sizes: .*found 2.*correct the file"),
        ("name: a\nsize: big\n", r"a.yml: size: .*found 'big'"),
        ("size: 2\n", r"a.yml: name: Field required"),
        ("name: [\n", r"a.yml: not YAML .*correct the file"),
        # pydantic repeats a tag as it is, and a key is part of the place
        ('name: a\nform: {kind: "a\\nb"}\n', r"^.*a.yml: form: .* tag 'a b' .*correct the file$"),
        ('name: a\n"si\\nzes": 2\n', r"^.*a.yml: si zes: .*found 2.*correct the file$"),
    ],
)
def test_a_fault_is_named_with_its_place_and_value(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        inputs.read(written(tmp_path, text), Sample)


MERGED = """
common: &common {x: 1, y: 1}
named:
  first: &first {<<: *common, x: 2}
second: {<<: *first, y: 3}
"""


def test_what_is_taken_over_from_another_place_may_be_said_anew(tmp_path: Path) -> None:
    """Also where YAML resolves the second place before the first."""
    content = inputs.content_of(written(tmp_path, MERGED))
    assert content["named"]["first"] == {"x": 2, "y": 1}
    assert content["second"] == {"x": 2, "y": 3}
    with pytest.raises(SettingsError, match=r"a.yml: line 4 gives x a second time; keep one"):
        inputs.content_of(written(tmp_path, MERGED.replace("x: 2", "x: 2, x: 3")))


@pytest.mark.parametrize("text", ["- a", "[]", "0", "false", "''"])
def test_what_is_not_lines_of_settings_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"a.yml: settings are lines of .key: value., found"):
        inputs.content_of(written(tmp_path, text))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"b.yml: this file is missing"):
        inputs.content_of(tmp_path / "b.yml")
