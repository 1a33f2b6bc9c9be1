"""What scripts add to figures and to pages of patients, on planted pages in a real browser."""

import base64
import io
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from gliomalib import report
from gliomalib.figures import picture
from gliomalib.schema import CLASS_COLOURS
from tests.report import small_cohort, small_study
from tests.test_browser import browser, opened

__all__ = ["browser"]

SIDE, SLICES, COLUMNS, SCALE = 8, 5, 3, 8
"""Of the planted volume; a voxel is drawn as a square of ``SCALE`` pixels."""

COLOURS = [tuple(int(name[i : i + 2], 16) for i in (1, 3, 5)) for name in CLASS_COLOURS]
ERRORS = {(138, 138, 138): "agreed", (196, 122, 0): "other", (47, 143, 201): "missed",
          (213, 94, 0): "false"}  # fmt: skip


def labels_of(layer: str) -> np.ndarray:
    """Return labels (Z, Y, X): an edema with a core; all but the truth lie a voxel to the right."""
    shift = 0 if layer == "truth" else 1
    found = np.zeros((SLICES, SIDE, SIDE), np.uint8)
    found[1:4, 2:7, 1 + shift : 6 + shift] = 2
    found[1:4, 3, 3] = 3
    return found


def drawn_address(text: str) -> str:
    """Return the picture that a planted patient calls by this name, ``slice 3 truth``."""
    *where, layer = text.split()
    labels = labels_of(layer)
    if where == ["all"]:
        full = np.pad(labels, ((0, 2 * COLUMNS - SLICES), (0, 0), (0, 0)))
        tiles = full.reshape(2, COLUMNS, SIDE, SIDE).transpose(0, 2, 1, 3)
        plane = tiles.reshape(2 * SIDE, COLUMNS * SIDE)
    else:
        plane = labels[int(where[1])]
    pixels = np.array([(0, 0, 0, 0), *((*colour, 255) for colour in COLOURS[1:])], np.uint8)[plane]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the pages of a planted study whose patients have pictures."""
    base = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        small_study.plant_studies(base / "params", patch)
        patch.setattr(small_cohort, "address", drawn_address)
        folder = small_cohort.fill(base / "small")
        (folder / "notebooks").mkdir()
        nbformat.write(notebook(), folder / "notebooks" / "05_fusion.ipynb")
        report.build("small", folder)
        yield folder / "html"


def notebook() -> nbformat.NotebookNode:
    figure, axes = picture.canvas(4, 3)
    dice = pd.Series({"A": 0.5, "nobody": 0.7})
    axes.plot([0, 1], dice, "o")
    picture.name_dots(axes, [dice])
    data, metadata = picture.Picture(figure, "two dots")._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    cells = [
        nbformat.v4.new_code_cell(f"draw({name})", outputs=[output], execution_count=1)
        for name in ("dice", "scores")
    ]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Fusion"), *cells])


def pixels(page: Page, canvas: str) -> np.ndarray:
    """Return a canvas as it is drawn: (rows, columns, red green blue alpha)."""
    address = page.evaluate(f"document.querySelector('{canvas}').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def by_voxel(page: Page, canvas: str) -> np.ndarray:
    """Return the colour in the upper part of each voxel's square, which no stripe cuts out."""
    return pixels(page, canvas)[SCALE // 4 :: SCALE, SCALE // 4 :: SCALE]


SLICE = ".flicker canvas.overlay"


def test_areas_and_errors_are_those_of_the_labels(browser: Browser, pages: Path) -> None:
    page = opened(browser, pages / "patient-C.html")
    page.wait_for_selector(SLICE, state="attached")
    page.keyboard.press("a")
    seen = by_voxel(page, SLICE)
    truth, fused = labels_of("truth")[2], labels_of("fused")[2]
    for (y, x), label in np.ndenumerate(fused):
        assert tuple(seen[y, x]) == ((*COLOURS[label], 255) if label else (0, 0, 0, 0))
    page.keyboard.press("e")
    voxels = by_voxel(page, SLICE).reshape(-1, 4)
    counts = Counter(ERRORS[tuple(map(int, one[:3]))] for one in voxels if one[3])
    wanted = {
        "agreed": (truth == fused) & (truth > 0),
        "other": (truth != fused) & (truth > 0) & (fused > 0),
        "missed": (truth > 0) & (fused == 0),
        "false": (truth == 0) & (fused > 0),
    }
    assert counts == Counter({name: int(mask.sum()) for name, mask in wanted.items()})
    page.context.close()


def test_a_contour_leaves_the_inside_free(browser: Browser, pages: Path) -> None:
    page = opened(browser, pages / "patient-C.html")
    page.wait_for_selector(SLICE, state="attached")
    seen = pixels(page, SLICE)[..., 3] > 0
    middles = seen[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]
    assert seen.any() and not middles[4, 3], "the scan is seen inside of an edema"
    assert not seen[: 2 * SCALE].any(), "nothing is drawn where there is no tumour"
    page.context.close()


def test_planes_pass_through_the_centre_of_the_tumour(browser: Browser, pages: Path) -> None:
    page = opened(browser, pages / "patient-C.html")
    width = f"document.querySelector('[data-plane=sagittal]').width == {SIDE * SCALE}"
    page.wait_for_function(width)
    page.keyboard.press("t")
    page.keyboard.press("a")
    page.locator("#opacity").fill("100")
    truth = labels_of("truth")
    _, y, x = np.round(np.mean(np.nonzero(truth), axis=1)).astype(int)
    # the head is up
    planes = {"coronal": truth[::-1, y, :], "sagittal": truth[::-1, :, x]}
    for name, plane in planes.items():
        seen = by_voxel(page, f"[data-plane={name}]")
        tumour = np.isin(np.arange(plane.size).reshape(plane.shape), np.flatnonzero(plane))
        for place in zip(*np.nonzero(tumour), strict=True):
            assert np.abs(seen[place][:3].astype(int) - COLOURS[plane[place]]).max() < 60, name
        assert seen.shape[:2] == plane.shape
    page.context.close()


def test_two_patients_are_seen_beside_one_another(browser: Browser, pages: Path) -> None:
    page = opened(browser, pages / "patients.html")
    page.locator("select.left").select_option("patient-A.html")
    page.locator("select.right").select_option("patient-B.html")
    page.locator(".show").click()
    one, other = (page.frame_locator(f"iframe >> nth={n}") for n in (0, 1))
    names = [frame.locator("h1").inner_text() for frame in (one, other)]
    assert names == ["Patient A", "Patient B"]
    one.locator("[data-show=truth]").click()
    other.locator("[data-show=truth][aria-pressed=true]").wait_for()
    assert page.url.endswith("#beside=patient-A.html&patient-B.html")
    assert not one.locator("nav").first.is_visible(), "the frame of a page stands around both once"
    page.reload()
    assert page.locator("iframe").count() == 2, "the address keeps who they are"
    page.context.close()


def test_a_dot_leads_to_its_patient_and_a_figure_is_kept_as_a_file(
    browser: Browser, pages: Path, tmp_path: Path
) -> None:
    page = opened(browser, pages / "05_fusion.html", dark=True)
    kept = {}
    for kind in ("SVG", "PNG", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save as {kind}: figure 1").click()
        path = tmp_path / download.value.suggested_filename
        shutil.copy(download.value.path(), path)
        kept[path.suffix] = path
    assert kept[".csv"].read_text() == 'patient,value\n"A","0.5"\n"nobody","0.7"'
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV: figure 2").click()
    table = pages.parent / "tables" / "05_fusion.scores.csv"
    assert download.value.path().read_text() == table.read_text(), "its code names the table"
    assert "var(" not in kept[".svg"].read_text() and "<a " not in kept[".svg"].read_text()
    assert Image.open(kept[".png"]).size[0] >= 3 * 280
    page.get_by_role("button", name="Enlarge: figure 1").click()
    assert page.locator("dialog svg").is_visible()
    page.keyboard.press("Escape")
    page.wait_for_function("document.querySelectorAll('figure svg').length == 2")
    assert page.locator("figure svg a").count() == 2, "nobody has no page"
    page.locator("figure svg").first.scroll_into_view_if_needed()
    box = page.locator("figure svg a path").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url("**/patient-A.html")
    page.context.close()
