"""Sentences that say how to cite."""

from __future__ import annotations

from pathlib import Path

import pytest

from gliomalib.report import citation, references

FILE = """
title: A tool
version: 1.2
date-released: 2026-05-01
authors: [{family-names: Doe, given-names: Jo}, {name: The others}]
references:
  - {title: A paper, authors: [{name: The authors}], year: 2025,
     identifiers: [{type: other, value: "arXiv:1"}]}
"""


def test_project_and_paper_have_a_sentence_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "CITATION.cff"
    path.write_text(FILE)
    monkeypatch.setattr(references, "CITATION", path)
    assert citation.sentences() == [
        "Doe, Jo, The others. A tool. Version 1.2. 2026.",
        "The authors. A paper. arXiv:1. 2025.",
    ]


def test_missing_file_gives_nothing_to_cite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "CITATION", tmp_path / "none.cff")
    assert citation.sentences() == []
