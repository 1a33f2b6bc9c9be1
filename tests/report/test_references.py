"""Works that a report cites, and how to cite the project."""

import re
from pathlib import Path

import pytest

from gliomalib.report import documents, references
from gliomalib.verdicts import claims
from tests.report.reading import STUDIES, collected


def test_references_are_those_that_are_cited(tmp_path: Path) -> None:
    for study in STUDIES:
        report_of = collected(tmp_path, study)
        whole = documents.plain(documents.sections(report_of), report_of.paper)
        body, _, listed = whole.partition("\n\nReferences\n")
        works = [report_of.paper, *references.works().values()]
        shorts = [work.short for work in works if work.short in body]
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
    found = references.bibtex(claims.paper())
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
    ],
)
def test_a_work_is_named_and_listed_from_its_fields(key: str, short: str, text: str) -> None:
    work = references.works()[key]
    assert (work.short, work.text) == (short, text)


def test_the_paper_is_named_and_listed_from_its_description() -> None:
    paper = claims.paper()
    (work,) = references.cited(f"as in {paper.short}, and", paper)
    assert (work.place, work.link) == (paper.identifier, paper.address)
    assert work.short == "the paper (arXiv 2502.18775)"
    assert work.text == references.sentences(paper)[1]
    assert work.text == (
        "Kiranmayee Janardhan and Christy Bobby Thomas. "
        "Subclass Classification of Gliomas Using MRI Fusion Technique. 2025."
    )
    assert references.cited("no paper", paper) == ()


def test_a_paper_of_a_journal_has_its_doi() -> None:
    paper = claims.paper().model_copy(update={"identifier": "doi 10.1000/a1"})
    assert 'doi = "10.1000/a1"' in references.bibtex(paper)


def test_the_project_has_a_sentence_from_its_citation_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "CITATION.cff"
    monkeypatch.setattr(references, "CITATION", path)
    path.write_text(
        "title: A tool\nversion: 1.2\ndate-released: 2026-05-01\n"
        "authors: [{family-names: Doe, given-names: Jo}, {name: The others}]\n"
    )
    assert (
        references.sentences(claims.paper())[0] == "Doe, Jo, The others. A tool. Version 1.2. 2026."
    )
