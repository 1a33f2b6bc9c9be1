"""Every page of the committed reports in a real browser: offline, without errors, for everyone.

Needs the Chromium of the distribution; where there is none, these tests say so and are skipped,
except in continuous integration, which installs it. Screenshots are kept in ``test-artefacts``.
"""

import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page, sync_playwright

from gliomalib import settings
from gliomalib.provenance import PROJECT_DIR
from gliomalib.report import bundle
from gliomalib.report.pages import collect
from tests.report.reading import MOST_BYTES

REPORTS = PROJECT_DIR / "reports"
STUDIES = ("demo", "brats-mini")
"""Studies whose pages are all opened; those of the others are of the same templates."""

ARTEFACTS = PROJECT_DIR / "test-artefacts"
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome")
                 if (found := shutil.which(name))), None)  # fmt: skip
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--no-first-run")  # fmt: skip
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SERIOUS = ("serious", "critical")

FRONT = REPORTS / "index.html"
FIRST_OF_STUDIES = sorted(folder.with_name("index.html") for folder in REPORTS.glob("*/records"))
EVERY = [FRONT, *sorted(REPORTS.glob("*/index.html")), *sorted(REPORTS.glob("*/html/*.html"))]

PAGES = [FRONT] + [page for study in STUDIES for page in sorted((REPORTS / study).rglob("*.html"))]


def named(page: Path) -> str:
    """Return what a page is called in the name of a test and of a picture."""
    return page.relative_to(REPORTS).with_suffix("").as_posix().replace("/", "-")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the distribution's Chromium once."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: .ci/run must install it")
        pytest.skip("there is no Chromium here: install the package chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield started
        started.close()


@dataclass
class Heard:
    """What a page said and asked for while it was open."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def opened(browser: Browser, path: Path, *, dark: bool = False, phone: bool = False) -> Page:
    """Open a page without a network."""
    context = browser.new_context(
        viewport=NARROW if phone else WIDE,
        color_scheme="dark" if dark else "light",
        offline=True,
    )
    page = context.new_page()
    page.goto(path.as_uri())
    return page


def listen(browser: Browser, path: Path) -> tuple[Page, Heard]:
    """Open a page, and note errors and every request that leaves the file tree."""
    page, heard = browser.new_context(viewport=WIDE, offline=True).new_page(), Heard()
    page.on("console", lambda said: heard.errors.append(said.text) if said.type == "error" else 0)
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    page.on("requestfailed", lambda request: heard.failed.append(request.url))
    page.on(
        "request",
        lambda request: (
            heard.outside.append(request.url)
            if urlparse(request.url).scheme not in ("file", "data", "blob")
            else None
        ),
    )
    page.goto(path.as_uri())
    page.wait_for_load_state("load")
    return page, heard


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_a_page_opens_offline_without_an_error_and_for_everyone(
    browser: Browser, path: Path
) -> None:
    page, heard = listen(browser, path)
    assert heard == Heard(), "an error, a failed request, or one that leaves the file tree"
    keep(page, f"{named(path)}-desktop")
    found = Axe().run(page)
    faults = [
        f"{one['id']}: {one['help']} ({len(one['nodes'])} times, e.g. {one['nodes'][0]['html']})"
        for one in found.response["violations"]
        if one["impact"] in SERIOUS
    ]
    assert not faults, "\n".join(faults)
    page.context.close()


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_no_page_scrolls_sideways_on_a_telephone(browser: Browser, path: Path) -> None:
    page = opened(browser, path, phone=True)
    width = page.evaluate("document.documentElement.scrollWidth")
    keep(page, f"{named(path)}-phone")
    assert width <= NARROW["width"], f"{width} px wide"
    page.context.close()


@pytest.mark.parametrize("path", EVERY, ids=named)
def test_every_relative_link_leads_to_a_file_and_a_place_in_it(path: Path) -> None:
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    broken = [link for link in addresses(soup) if not leads_somewhere(path, link)]
    assert broken == []
    assert len(path.read_bytes()) <= MOST_BYTES, "too large for a telephone"


def addresses(soup: BeautifulSoup) -> Iterator[str]:
    """Yield every address of a page that does not name the web or hold its data itself."""
    for tag in soup.find_all(True):
        for name in ("href", "src", "poster", "data", "action", "srcset"):
            link = str(tag.get(name, ""))
            if link and not link.startswith(("data:", "https:", "http:", "mailto:")):
                yield link
            if name != "href" or tag.name != "a":
                assert not link.startswith(("http", "//")), f"{tag.name} fetches {link}"


def leads_somewhere(path: Path, link: str) -> bool:
    """Tell whether a relative link ends at a file, and at an element of it where it names one."""
    target, _, place = link.partition("#")
    found = (path.parent / unquote(target)).resolve() if target else path
    if not found.exists():
        return False
    if place and found.suffix == ".html":
        return f'id="{unquote(place)}"' in found.read_text(encoding="utf-8")
    return True


def keep(page: Page, name: str) -> None:
    """Keep a picture of the whole page as an artefact of the test."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=False)


# --- what scripts add


def patient_pages(study: str) -> list[Path]:
    """Return the pages of the patients of a study."""
    return sorted((REPORTS / study / "html").glob("patient-*.html"))


def seen(page: Page) -> set[str]:
    """Return the layers that lie over the slices now."""
    found: list[str] = page.eval_on_selector_all(
        ".flicker .overlay",
        "all => all.filter(one => getComputedStyle(one).opacity > 0 && "
        "getComputedStyle(one).visibility != 'hidden' && getComputedStyle(one).display != 'none')"
        ".map(one => one.dataset.layer)",
    )
    return set(found)


@pytest.mark.parametrize("study", STUDIES)
def test_keys_and_buttons_flicker_truth_against_prediction(browser: Browser, study: str) -> None:
    page = opened(browser, patient_pages(study)[0])
    assert seen(page) == {"fused"}
    page.keyboard.press("t")
    assert seen(page) == {"truth"}
    page.keyboard.press("2")
    assert seen(page) == {"2D"}
    page.keyboard.press(" ")
    assert seen(page) == {"truth"}, "space flickers to the truth"
    page.keyboard.press(" ")
    assert seen(page) == {"2D"}, "and back to the last prediction"
    page.get_by_role("button", name="3D").click()
    assert seen(page) == {"3D"}
    assert page.get_by_role("button", name="3D").get_attribute("aria-pressed") == "true"
    page.keyboard.press("n")
    assert seen(page) == set()
    page.context.close()


def test_a_volume_is_scrolled_by_keys(browser: Browser) -> None:
    whole = next(p for p in patient_pages("demo") if "<canvas" in p.read_text(encoding="utf-8"))
    page = opened(browser, whole)
    page.wait_for_function("!document.querySelector('.viewer').hidden")
    picture = "() => document.querySelector('.viewer canvas').toDataURL()"
    page.focus("#z")
    before, place = page.evaluate(picture), page.inner_text("#place")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#place") != place and page.evaluate(picture) != before
    page.select_option("#sequence", index=0)
    first = page.evaluate(picture)
    page.select_option("#sequence", index=1)
    assert page.evaluate(picture) != first, "another sequence looks different"
    page.context.close()


def test_of_a_real_patient_no_volume_is_published() -> None:
    pages = patient_pages("brats-mini")
    assert pages
    assert not [path.name for path in pages if "<canvas" in path.read_text(encoding="utf-8")]
    files = (REPORTS / "brats-mini" / "patients").glob("*.json")
    assert [path.name for path in files if '"volume": null' not in path.read_text()] == []


@pytest.mark.parametrize("study", STUDIES)
def test_the_gallery_sorts_worst_first_and_by_any_column(browser: Browser, study: str) -> None:
    page = opened(browser, REPORTS / study / "html" / "patients.html")
    table = page.locator("table.gallery").first
    column = "all => all.map(row => Number(row.dataset.values.split(' ')[{}]))"

    def values(place: int) -> list[float]:
        found: list[float] = table.locator("tbody tr").evaluate_all(column.format(place))
        return found

    assert values(0) == sorted(values(0)), "worst first"
    edema = table.get_by_role("button", name="ED")
    edema.click()
    assert values(2) == sorted(values(2))
    edema.click()
    assert values(2) == sorted(values(2), reverse=True)
    page.context.close()


@pytest.mark.parametrize("name", ["index", "html/05_fusion", "html/patients", "html/model-card"])
def test_dark_pages_can_be_read(browser: Browser, name: str) -> None:
    page = opened(browser, REPORTS / "demo" / f"{name}.html", dark=True)
    keep(page, f"demo-{name.replace('/', '-')}-dark")
    found = Axe().run(page, options={"runOnly": ["color-contrast"]})
    assert [one["nodes"][0]["html"] for one in found.response["violations"]] == []
    page.context.close()


def test_the_first_screen_needs_no_script(browser: Browser) -> None:
    path = patient_pages("demo")[0]
    context = browser.new_context(viewport=WIDE, offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("img[data-layer=truth], img[alt*=truth]").first.is_visible()
    keep(page, f"{named(path)}-no-script")
    context.close()


def test_a_page_prints_to_a_pdf(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, REPORTS / "demo" / "html" / "16_reproducibility_report.html")
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    page.context.close()


def test_a_copy_out_of_the_archive_works(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(REPORTS / "demo", folder)
    bundle.write(collect(settings.load("demo"), folder), folder)
    with zipfile.ZipFile(folder / "demo.zip") as packed:
        packed.extractall(tmp_path / "unpacked")
    index = next((tmp_path / "unpacked").rglob("index.html"))
    page, heard = listen(browser, index)
    assert heard == Heard()
    page.get_by_role("link", name="Patients").first.click()
    assert page.url.endswith("patients.html")
    page.context.close()


# --- budgets

SHIFTED = """() => new Promise(done => {
    let sum = 0;
    new PerformanceObserver(list => list.getEntries().forEach(one => sum += one.value))
        .observe({type: "layout-shift", buffered: true});
    setTimeout(() => done(sum), 300);
})"""
WORDS = """() => {
    const main = document.querySelector("main").cloneNode(true);
    main.querySelectorAll("svg, script, style").forEach(one => one.remove());
    return main.textContent.trim().split(/\\s+/).length;
}"""


def screens(page: Page) -> float:
    """Return how many screens a page is long."""
    height: float = page.evaluate("document.documentElement.scrollHeight / innerHeight")
    return height


@pytest.mark.parametrize("path", FIRST_OF_STUDIES, ids=named)
def test_the_page_of_a_study_is_short(browser: Browser, path: Path) -> None:
    wide, narrow = opened(browser, path), opened(browser, path, phone=True)
    assert screens(wide) <= 4
    assert screens(narrow) <= 10
    assert wide.evaluate(WORDS) <= 900
    for page in (wide, narrow):
        page.context.close()


@pytest.mark.parametrize("path", sorted(REPORTS.glob("*/html/claim-*.html")), ids=named)
def test_the_page_of_a_statement_has_two_screens(browser: Browser, path: Path) -> None:
    page = opened(browser, path)
    assert screens(page) <= 2
    page.context.close()


def test_the_front_door_is_read_in_ten_minutes(browser: Browser) -> None:
    page = opened(browser, FRONT)
    assert screens(page) <= 4
    above = "all => all.filter(one => one.getBoundingClientRect().bottom < innerHeight).length"
    assert page.eval_on_selector_all(".short li", above) >= 5, "findings on the first screen"
    page.context.close()


def test_every_number_of_a_statement_is_two_clicks_from_the_front_door() -> None:
    soup = BeautifulSoup(FRONT.read_text(encoding="utf-8"), "html.parser")
    reached = {
        (REPORTS / str(link["href"]).partition("#")[0]) for link in soup.select("main a[href]")
    }
    missed = [path for path in REPORTS.glob("*/html/claim-*.html") if path not in reached]
    assert missed == []


@pytest.mark.parametrize("name", ["index", "html/05_fusion", "html/claim-C7", "html/patients"])
def test_nothing_moves_while_a_page_loads(browser: Browser, name: str) -> None:
    page = opened(browser, REPORTS / "demo" / f"{name}.html")
    assert page.evaluate(SHIFTED) < 0.1
    page.context.close()


# --- search and numbers


def test_search_finds_what_has_all_words(browser: Browser) -> None:
    page = opened(browser, REPORTS / "demo" / "html" / "05_fusion.html")
    page.fill("header input[name=q]", "leak split")
    page.press("header input[name=q]", "Enter")
    page.wait_for_url("**/search.html?q=leak+split")
    shown = page.locator("#found li:visible").all_inner_texts()
    assert shown and all("leak" in text.lower() and "split" in text.lower() for text in shown)
    assert page.input_value("#find") == "leak split"
    page.click("#values")
    assert page.url.endswith("numbers.html?q=leak%20split")
    page.context.close()


def test_numbers_are_filtered_and_saved_as_they_are_shown(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, REPORTS / "demo" / "html" / "numbers.html")
    page.fill("#find", "05_fusion dice_mean")
    rows = page.locator("#numbers tbody tr:visible")
    assert 0 < rows.count() < 20
    assert all("dice_mean" in text for text in rows.all_inner_texts())
    for kind in ("CSV", "JSON"):
        with page.expect_download() as saved:
            page.get_by_role("button", name=kind).click()
        path = tmp_path / f"saved.{kind}"
        saved.value.save_as(path)
        table = pd.read_csv(path) if kind == "CSV" else pd.read_json(path)
        assert len(table) == rows.count()
        visible = "#numbers tbody tr:not([hidden]) data"
        shown = page.eval_on_selector_all(visible, "all => all.map(one => Number(one.value))")
        assert table["obtained"].astype(float).to_list() == shown
    page.context.close()


def test_a_number_has_an_address(browser: Browser) -> None:
    path = REPORTS / "demo" / "html" / "numbers.html"
    page = browser.new_context(viewport=WIDE, offline=True).new_page()
    page.goto(f"{path.as_uri()}#05/dice_mean")
    row = page.locator("tr:target")
    assert row.is_visible() and "dice_mean" in row.inner_text()
    page.context.close()


def test_one_switch_shows_all_code(browser: Browser) -> None:
    page = opened(browser, REPORTS / "demo" / "html" / "05_fusion.html")
    open_ = "all => all.filter(one => one.open).length"
    assert page.eval_on_selector_all("details.code", open_) <= 1
    page.click("#code")
    cells = page.locator("details.code").count()
    assert page.eval_on_selector_all("details.code", open_) == cells > 5
    page.click("#code")
    assert page.eval_on_selector_all("details.code", open_) == 0
    page.context.close()
