"""The pages to try choices on: what a reader sees is what the library says."""

import csv
import json
import logging
import operator
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from gliomalib import records, report
from gliomalib.experiments import alpha_curves, alpha_sweep
from gliomalib.experiments.specifications import CHOICES
from gliomalib.figures import alpha_slices
from gliomalib.fusion import average, slices
from gliomalib.pipeline import folds
from gliomalib.report import play
from gliomalib.schema import CLASS_NAMES, Confusion, Split, Value
from gliomalib.scoring import metrics, tables
from tests import planted_branches, planted_report
from tests.report.reading import MOST_BYTES, collected, needs_nothing, soup, text
from tests.test_browser import Heard, listen, opened

ONE = (Split(0, ("A",), ("B",), ("D", "E", "F")),)
CELLS, CURVES, SLICES = (
    f"tables/{name}.csv"
    for name in ("15_specification_curve.cells", "08_alpha_sweep.curves", "08_alpha_sweep.slices")
)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> folds.Material:
    networks = {"unet2d": (2.5, 10), "unet3d": (2.0, 20)}
    root = tmp_path_factory.mktemp("play")
    return planted_branches.noisy(root, "08_alpha_sweep", ONE, networks)


@pytest.fixture(scope="module")
def finished(material: folds.Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished study with the tables of notebooks 08 and 15 and both pages."""
    folder = planted_report.fill(tmp_path_factory.mktemp("played") / "demo")
    sweep = alpha_curves.exact(material)
    curves = alpha_sweep.curve_table(sweep, material.study)
    alpha_slices.table(material, sweep).to_csv(folder / SLICES, index=False)
    curves.to_csv(folder / CURVES, index=False, float_format="%.6g")
    rng = np.random.default_rng(5)
    cells = pd.DataFrame(product(*CHOICES.values()), columns=list(CHOICES))
    accuracy = 1 - 0.4 * rng.random(len(cells)) ** 3
    # 78.125 % lies between two numbers of two digits: it is printed as the even one
    accuracy[0] = 0.78125
    cells = cells.assign(accuracy=accuracy, low=accuracy - 0.05, high=accuracy + 0.01)
    cells.sort_values("accuracy").to_csv(folder / CELLS, index=False, float_format="%.6g")
    gap = Value("gap", 20.0, n_patients=17, rule="median")
    name = "15_specification_curve"
    records.write(planted_report.record(collected(folder).study, name, [gap]), folder)
    for page, html in made(folder).items():
        (folder / f"{page}.html").write_text(html, encoding="utf-8")
    return folder


def made(folder: Path) -> dict[str, str]:
    return dict(play.every_page(collected(folder), folder))


@pytest.fixture
def spoilt(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished study, to be spoilt by one test."""
    return Path(shutil.copytree(finished, tmp_path / "demo"))


def test_pages_need_nothing_and_are_small(finished: Path) -> None:
    pages = made(finished)
    assert list(pages) == ["alpha", "multiverse"]
    for html in pages.values():
        assert needs_nothing(soup(html))
        assert len(html.encode()) < MOST_BYTES


def test_a_report_has_both_pages(spoilt: Path) -> None:
    report.build("demo", spoilt)
    for name, html in made(spoilt).items():
        assert (spoilt / "html" / f"{name}.html").read_text(encoding="utf-8") == html


def test_there_is_no_page_without_its_table(folder: Path) -> None:
    assert made(folder) == {}


@pytest.mark.parametrize("name", [CELLS, CURVES, SLICES])
@pytest.mark.parametrize(
    "content",
    [
        *("", "a,b\n1,2\n", '"', "region,accuracy\nmean,x\n"),
        "region,alpha,dice,low,high,patients\nmean,0,inf,inf,inf,3\n",
    ],
)
def test_a_damaged_table_is_named_where_it_would_be_tried(
    spoilt: Path, name: str, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (spoilt / name).write_text(content)
    with caplog.at_level(logging.WARNING):
        pages = made(spoilt)
    damaged = ["multiverse"] if name == CELLS else ["alpha"]
    assert [page for page, html in pages.items() if is_damaged(html)] == damaged
    assert "cannot be tried" in caplog.text


def test_accuracies_above_all_that_is_drawn_have_a_page(spoilt: Path) -> None:
    table = pd.read_csv(spoilt / CELLS).assign(accuracy=1.0, low=1.0, high=1.0)
    table.to_csv(spoilt / CELLS, index=False)
    assert not is_damaged(made(spoilt)["multiverse"])


def test_whose_accuracy_is_printed_is_said_where_another_paper_is_examined(spoilt: Path) -> None:
    report_of = collected(spoilt)
    assert "The paper prints an accuracy" in text(made(spoilt)["multiverse"])
    study = report_of.study.model_copy(update={"published": "tests/reference/next-paper.yml"})
    page = dict(play.every_page(replace(report_of, study=study), spoilt))["multiverse"]
    assert "The paper (arXiv 2502.18775) prints an accuracy of 99.25" in text(page)


def is_damaged(html: str) -> bool:
    """Say whether a page tells that its table cannot be read, and has no control."""
    page = soup(html)
    return not page.select("#data") and "cannot be read" in text(html)


def test_hostile_names_are_text_and_pictures_lead_nowhere(spoilt: Path) -> None:
    table = pd.read_csv(spoilt / SLICES, dtype=str)
    table.assign(patient_id=planted_report.ATTACK).to_csv(spoilt / SLICES, index=False)
    page = soup(made(spoilt)["alpha"])
    assert len(page.find_all("script")) == 2 and needs_nothing(page)
    data = json.loads(page.select_one("#data").get_text())  # type: ignore[union-attr]
    assert data["slices"][0]["patient_id"] == planted_report.ATTACK
    table.assign(flair="https://example.org/x.png").to_csv(spoilt / SLICES, index=False)
    assert is_damaged(made(spoilt)["alpha"]) and needs_nothing(soup(made(spoilt)["alpha"]))


def test_what_is_not_defined_is_no_number(spoilt: Path) -> None:
    curves = pd.read_csv(spoilt / CURVES).assign(low=np.nan, high=np.nan)
    curves.to_csv(spoilt / CURVES, index=False)
    cells = pd.read_csv(spoilt / CELLS).assign(low=np.nan, high=np.nan)
    cells.to_csv(spoilt / CELLS, index=False)
    for html in made(spoilt).values():
        page = soup(html)
        assert "nan" not in str(page.select(".plot")).lower()
        json.loads(page.select_one("#data").get_text(), parse_constant=pytest.fail)  # type: ignore[union-attr]


def test_without_scripts_pictures_curve_and_table_stand_there(finished: Path) -> None:
    pages = made(finished)
    alpha, multiverse = soup(pages["alpha"]), soup(pages["multiverse"])
    assert len(alpha.select(".small-ones figure")) == 3 * (1 + 6)
    assert "α = 0.2" in text(pages["alpha"])
    assert len(alpha.select("path.own")) == 3
    assert len(multiverse.select("details tbody tr")) == 864


# --- in the browser


def shown(page: Page, alpha: int) -> dict[str, list[str]]:
    """Return what the page says at one of the 101 α: the class, the mean, each region's row."""
    page.locator("#alpha").fill(str(alpha))
    rows = page.locator("[data-region]").evaluate_all(
        "all => all.map(row => [row.dataset.region,"
        "  ...[...row.cells].slice(1).map(cell => cell.textContent)])"
    )
    texts = [page.inner_text(selector) for selector in ("#shown", "#class", "#mean", "#own")]
    return {"texts": texts, **{region: cells for region, *cells in rows}}


def right(material: folds.Material, row: dict[str, str], place: int) -> dict[str, list[str]]:
    """Return what the library says of the same slice, made anew from the stored volumes."""
    name, z, alpha = row["patient_id"], int(row["z"]), place / 100
    fused = average.weighted_average(*folds.pair(material, 0, name), alpha)
    predicted = tables.predicted_labels(fused)
    truth = material.store.get(name).labels[..., z]
    of_slices = slices.slice_classes(predicted, material.study.classifier.label_rule)
    sweep = alpha_curves.exact(material)
    curves = alpha_sweep.curve_table(sweep, material.study).query("region == 'mean'")
    dice, low, high = curves.iloc[place][["dice", "low", "high"]].round(6)
    texts = [f"α = {alpha:.2f}", CLASS_NAMES[of_slices[z]], f"{dice:.3f} ({low:.3f} to {high:.3f})"]
    texts.append(f"{float(sweep.curves['mean'][name].at(alpha)):.3f}")
    return {"texts": texts, **in_cells(metrics.confusion_matrix(truth, predicted[..., z]))}


def in_cells(counts: Confusion) -> dict[str, list[str]]:
    """Return Dice, right, false and missed pixels of each region as the page has them."""
    rows = {}
    for region, classes in tables.REGIONS.items():
        chosen = list(classes)
        tp = counts[np.ix_(chosen, chosen)].sum()
        fp, fn = counts[:, chosen].sum() - tp, counts[chosen].sum() - tp
        dice = metrics.dice(counts, classes, "exclude")
        rows[region] = ["–" if np.isnan(dice) else f"{dice:.3f}", str(tp), str(fp), str(fn)]
    return rows


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_dragging_alpha_shows_what_the_library_says(
    browser: Browser, finished: Path, material: folds.Material
) -> None:
    page, heard = listen(browser, finished / "alpha.html")
    page.wait_for_selector(".scripted .play")
    for number, row in enumerate(rows_of(finished / SLICES)):
        page.select_option("#patient", index=number)
        for place in (0, 7, 33, 50, 60, 61, 84, 100):
            assert shown(page, place) == right(material, row, place)
    assert heard == Heard()
    page.context.close()


def test_every_alpha_gives_the_counts_of_the_table(browser: Browser, finished: Path) -> None:
    assert differing(browser, finished / "alpha.html", finished) == 0


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("fround(1 - alpha) * p3d", "fround(alpha) * p3d"),
        ("fround(alpha) * p2d", "fround(alpha * alpha) * p2d"),
        ("if (sum > highest)", "if (sum >= highest)"),
    ],
)
def test_a_fault_in_the_fusion_of_the_page_is_found(
    browser: Browser, finished: Path, tmp_path: Path, line: str, wrong: str
) -> None:
    html = (finished / "alpha.html").read_text(encoding="utf-8")
    assert html.count(line) == 1
    (tmp_path / "alpha.html").write_text(html.replace(line, wrong), encoding="utf-8")
    assert differing(browser, tmp_path / "alpha.html", finished) > 0


EVERY_ALPHA = """all => [...Array(101).keys()].map(place => {
  const slider = document.querySelector("#alpha");
  slider.value = place;
  slider.dispatchEvent(new Event("input"));
  return Object.fromEntries(all.map(row =>
    [row.dataset.region, [...row.cells].slice(1).map(cell => cell.textContent)]));
})"""
"""What the page shows of each region at each α."""


def differing(browser: Browser, path: Path, folder: Path) -> int:
    """Count at how many α, of all patients, the page has other counts than the table."""
    page = opened(browser, path)
    page.wait_for_selector(".scripted .play")
    number = 0
    for place, row in enumerate(rows_of(folder / SLICES)):
        page.select_option("#patient", index=place)
        found = page.locator("[data-region]").evaluate_all(EVERY_ALPHA)
        counts = np.array(row["counts"].split(), dtype=int).reshape(101, 4, 4)
        number += sum(map(operator.ne, found, map(in_cells, counts)))
    page.context.close()
    return number


AREAS = [
    ((4, 3, 2), (9, 0, 0)), ((4, 3, 2), (0, 9, 9)), ((5, 5, 1), (1, 1, 1)),
    ((5, 5, 0), (1, 1, 0)), ((6, 4, 0), (6, 4, 3)), ((0, 0, 0), (3, 3, 3)),
]  # fmt: skip
"""Pixels of the classes 1 to 3 in a slice, ties among them, and in all others."""


def test_the_page_knows_every_label_rule_and_its_ties(browser: Browser, spoilt: Path) -> None:
    like, rows, expected = pd.read_csv(spoilt / SLICES, dtype=str).iloc[0].to_dict(), [], []
    for rule, (here, elsewhere) in product(slices.LABEL_RULES, AREAS):
        pixels = np.zeros((144, 1, 2), dtype=np.uint8)
        for z, areas in enumerate((here, elsewhere)):
            labels = np.repeat([1, 2, 3], areas)
            pixels[: len(labels), 0, z] = labels
        row = {**like, "rule": rule, "fixed": "".join(map(str, pixels[:, 0, 0]))}
        voxels = " ".join(map(str, np.add(here, elsewhere).tolist() * 101))
        rows.append({**row, "p2d": "", "p3d": "", "voxels": voxels})
        expected.append(CLASS_NAMES[slices.slice_classes(pixels, rule)[0]])
    pd.DataFrame(rows).to_csv(spoilt / SLICES, index=False)
    (spoilt / "alpha.html").write_text(made(spoilt)["alpha"], encoding="utf-8")
    page = opened(browser, spoilt / "alpha.html")
    page.wait_for_selector(".scripted .play")
    for place, answer in enumerate(expected):
        page.select_option("#patient", index=place)
        assert page.inner_text("#class") == answer, rows[place]["rule"]
    page.context.close()


def test_keys_and_buttons_move_alpha(browser: Browser, finished: Path) -> None:
    page = opened(browser, finished / "alpha.html")
    page.wait_for_selector(".scripted .play")
    assert page.inner_text("#shown") == "α = 0.60"
    picture, place = "document.querySelector('canvas').toDataURL()", "cx => cx.getAttribute('cx')"
    before = page.evaluate(picture), page.locator(".of-all").evaluate(place)
    page.focus("#alpha")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#shown") == "α = 0.61"
    page.get_by_role("button", name="3D alone").click()
    assert page.inner_text("#shown") == "α = 0.00"
    after = page.evaluate(picture), page.locator(".of-all").evaluate(place)
    assert before[0] != after[0] and float(before[1]) > float(after[1])
    page.context.close()


def test_a_specification_shows_its_own_number(browser: Browser, finished: Path) -> None:
    page, heard = listen(browser, finished / "multiverse.html")
    rows = rows_of(finished / CELLS)
    tie = next(place for place, row in enumerate(rows) if row["accuracy"] == "0.78125")
    for place in (0, tie, 431, 700, 863):
        row = rows[place]
        for choice in CHOICES:
            page.check(f"input[name={choice}][value='{row[choice]}']")
        accuracy, low, high = (100 * float(row[name]) for name in ("accuracy", "low", "high"))
        assert page.inner_text("#accuracy") == f"{accuracy:.2f}\u00a0%"
        interval = f"95 % interval {low:.2f} % to {high:.2f} %, 17 patients."
        assert page.inner_text("#interval").replace("\u00a0", " ") == interval
        assert page.inner_text("#rank").startswith(f"Specification {place + 1} of 864")
        reached = accuracy / 100 >= 0.9925 - 0.01
        assert ("comes within one point" in page.inner_text("#verdict")) == reached
        # beside each option stands what it would print, all else as chosen
        for split in CHOICES["split"]:
            wanted = {**row, "split": split}
            other = next(r for r in rows if all(r[name] == wanted[name] for name in CHOICES))
            beside = page.locator(f"label:has(input[value='{split}'][name=split]) output")
            assert beside.inner_text() == f"{100 * float(other['accuracy']):.2f}\u00a0%"
    assert heard == Heard()
    page.context.close()


def test_buttons_lead_to_the_nearest_and_the_best_apart(browser: Browser, finished: Path) -> None:
    page = opened(browser, finished / "multiverse.html")
    rows = rows_of(finished / CELLS)
    nearest = min(rows, key=lambda row: abs(float(row["accuracy"]) - 0.9925))
    page.get_by_role("button", name="nearest").click()
    assert page.inner_text("#accuracy") == f"{100 * float(nearest['accuracy']):.2f}\u00a0%"
    apart = max(float(row["accuracy"]) for row in rows if row["split"] == "patient")
    page.get_by_role("button", name="apart").click()
    assert page.inner_text("#accuracy") == f"{100 * apart:.2f}\u00a0%"
    assert page.locator("input[name=split][value=patient]").is_checked()
    page.context.close()


def test_a_specification_that_was_not_run_is_called_so(browser: Browser, spoilt: Path) -> None:
    rows = rows_of(spoilt / CELLS)
    first = {choice: next(iter(options)) for choice, options in CHOICES.items()}
    kept = [row for row in rows if any(row[choice] != first[choice] for choice in first)]
    pd.DataFrame(kept).to_csv(spoilt / CELLS, index=False)
    (spoilt / "multiverse.html").write_text(made(spoilt)["multiverse"], encoding="utf-8")
    page, heard = listen(browser, spoilt / "multiverse.html")
    assert page.inner_text("#accuracy") == "nothing"
    page.get_by_role("button", name="lowest").click()
    assert page.inner_text("#accuracy") == f"{100 * float(kept[0]['accuracy']):.2f}\u00a0%"
    assert heard == Heard()
    page.context.close()
