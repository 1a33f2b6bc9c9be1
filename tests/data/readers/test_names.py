"""Names that are no case's: what is litter, what people read, what a name says of a mask."""

import pytest

from gliomalib.data.readers import names, survey

CASES = [name for family in survey.FAMILIES for name in family.EXAMPLES]
NOISE = [
    *("._BraTS20_Training_001_t1.nii.gz", ".DS_Store", "__MACOSX", "Thumbs.db", "desktop.ini"),
    *("$RECYCLE.BIN", "System Volume Information", "@eaDir", "lost+found", ".git", ".datalad"),
    *(
        "name_mapping.csv~",
        ".name_mapping.csv.swp",
        ".#x.csv",
        "#x.csv#",
        ".~lock.x.csv#",
        "~$x.xlsx",
    ),
    *(".Trash-1000", ".nfs0000012", ".Spotlight-V100", "Icon\r", "THUMBS.DB", ".ipynb_checkpoints"),
]
DOCUMENTS = ["README", "readme.txt", "LICENSE.md", "MD5SUMS", "terms.pdf", "x.nii.gz.md5"]


@pytest.mark.parametrize("key", ["noise", "documents", "copies"])
def test_no_case_is_litter_a_document_or_a_copy(key: str) -> None:
    for name in (*CASES, "name_mapping.csv", "BraTS20_Training_001_seg.nii.gz", "HGG", "seg.nii"):
        assert not names.pattern(key).fullmatch(name)
        assert names.pattern("copies").sub("", name) == name


@pytest.mark.parametrize(("key", "known"), [("noise", NOISE), ("documents", DOCUMENTS)])
def test_litter_and_documents_are_known_by_their_whole_name(key: str, known: list[str]) -> None:
    for name in known:
        assert names.pattern(key).fullmatch(name), name
        assert not names.pattern(key).fullmatch("x_" + name.strip("~")) or key == "documents"


def test_no_case_has_a_rule_and_a_rule_says_by_how_much_of_a_path_it_is_known() -> None:
    for name in CASES:
        assert names.rule_of(f"x/{name}.nii.gz") is None
    n_parts, kind, because = names.rule_of("a/BraTS-PED-00001-000/b/c.nii") or (0, "", "")
    assert (n_parts, kind) == (2, "sister challenge") and "children" in because
    assert (names.rule_of("a/b/x.zip") or (0,))[0] == 3


def test_no_reason_gives_data_another_name() -> None:
    for path in ("BraTS-MEN-1-0/x", "FeTS2022_00000/x", "imagesTr/a_0000.nii", "x.mha", "x.zip"):
        _, _, because = names.rule_of(path) or (0, "", "rename")
        assert "rename" not in because and "call" not in because
