"""Works that a report cites, and how to cite the project."""

import re
from pathlib import Path

import pytest

from gliomalib.report import methods, references
from tests.report.reading import STUDIES, collected


def test_references_are_those_that_are_cited(tmp_path: Path) -> None:
    for study in STUDIES:
        report_of = collected(tmp_path, study)
        whole = methods.plain(methods.sections(report_of))
        body, _, listed = whole.partition("\n\nReferences\n")
        shorts = [work.short for work in references.works().values() if work.short in body]
        assert len(listed.splitlines()) == len(shorts)
        named = re.findall(
            r"[A-ZÇ][\w’]+ et al\. \d{4}|[A-Z]\w+ (?:and [A-Z]\w+ )?(?:19|20)\d\d\b", body
        )
        named = [name for name in named if not name.startswith(("BraTS", "Zenodo"))]
        assert named
        assert not [name for name in named if not any(name in short for short in shorts)]


def test_addresses_of_references() -> None:
    links = {work.place: work.link for work in references.works().values()}
    assert links["arXiv 1505.04597"] == "https://arxiv.org/abs/1505.04597"
    assert links["doi 10.1080/00031305.2015.1089789"].startswith("https://doi.org/10.1080/")
    assert all(link.startswith("https://") and " " not in link for link in links.values())
    assert len(links) == len(references.works())


def test_bibtex_is_from_the_citation_file() -> None:
    found = references.bibtex()
    own = references.citation()
    assert found.count("@") == 2
    assert found.count("{") == found.count("}")
    for part_of in (own["title"], str(own["version"]), own["license"], 'eprint = "2502.18775"'):
        assert part_of in found


@pytest.mark.parametrize(
    ("key", "short", "text"),
    [
        (
            "loshchilov2019",
            "Loshchilov and Hutter 2019",
            "Loshchilov and Hutter 2019. Decoupled weight decay regularization. ICLR.",
        ),
        (
            "verdier2024",
            "de Verdier et al. 2024",
            "de Verdier et al. 2024. The 2024 brain tumor segmentation (BraTS) challenge: glioma "
            "segmentation on post-treatment MRI.",
        ),
        (
            "swanson2000",
            "Swanson et al. 2000",
            "Swanson et al. 2000. A quantitative model for differential motility of gliomas in "
            "grey and white matter. Cell Prolif 33:317–329.",
        ),
        (
            "examined",
            "the paper (arXiv 2502.18775)",
            "Kiranmayee Janardhan and Christy Bobby Thomas. Subclass Classification of Gliomas "
            "Using MRI Fusion Technique. 2025.",
        ),
    ],
)
def test_a_work_is_named_and_listed_from_its_fields(key: str, short: str, text: str) -> None:
    work = references.works()[key]
    assert (work.short, work.text) == (short, text)


def test_the_project_has_a_sentence_from_its_citation_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "CITATION.cff"
    monkeypatch.setattr(references, "CITATION", path)
    path.write_text(
        "title: A tool\nversion: 1.2\ndate-released: 2026-05-01\n"
        "authors: [{family-names: Doe, given-names: Jo}, {name: The others}]\n"
    )
    assert references.sentences()[0] == "Doe, Jo, The others. A tool. Version 1.2. 2026."
