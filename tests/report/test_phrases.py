"""What settings are called."""

from dataclasses import replace
from pathlib import Path

import pytest

from gliomalib import digits, settings
from gliomalib.report import documents, phrases
from gliomalib.report.pages import Report
from tests.report.reading import collected

CHOICES = {
    "unet2d.loss": settings.Segmentation.model_fields["loss"],
    "unet3d.precision": settings.Optimisation.model_fields["precision"],
    "classifier.loss": settings.Classifier.model_fields["loss"],
    "classifier.weights": settings.Classifier.model_fields["weights"],
    "classifier.image": settings.Classifier.model_fields["image"],
    "classifier.label_rule": settings.Classifier.model_fields["label_rule"],
    "evaluation.empty": settings.Evaluation.model_fields["empty"],
}


@pytest.fixture
def plan(tmp_path: Path) -> Report:
    """Return a study of which nothing has run, so that its settings speak."""
    return collected(tmp_path, "demo")


def methods_of(plan: Report, **changes: object) -> str:
    study = settings.load("demo", {key.replace("__", "."): v for key, v in changes.items()})
    return documents.plain(documents.sections(replace(plan, study=study)), plan.paper)


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_has_words_of_its_own(plan: Report, name: str) -> None:
    choices = CHOICES[name].annotation.__args__  # type: ignore[union-attr]
    # weights of a file need the file's name as well
    more = {choice: {"classifier.weights_file": "w.pt"} for choice in choices if choice == "file"}
    told = {methods_of(plan, **{name: choice, **more.get(choice, {})}) for choice in choices}
    assert len(told) == len(choices)


def test_loss_is_told_with_exponent_and_weights(plan: Report) -> None:
    told = methods_of(plan, unet2d__loss="focal", unet2d__class_weights=[0.1, 1, 1, 2])
    assert "focal loss (Lin et al. 2017, γ = 2), the four classes weighted 0.1, 1, 1 and 2" in told


def test_words_are_escaped_where_a_page_is_html(plan: Report) -> None:
    study = settings.load("demo", {"classifier.weights": "imagenet"})
    page = documents.card_page(replace(plan, study=study))
    assert "torchvision&#39;s IMAGENET1K_V1" in page


def test_plurals_and_nested_settings() -> None:
    assert [digits.counted(n, "box") for n in (1, 2)] == ["1 box", "2 boxes"]
    assert phrases.dotted({"a": {"b": 1}, "c": 2}) == {"a.b": 1, "c": 2}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.99, "1 min 0 s"), (3599.7, "1 h 0 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert phrases.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(400, "0.4 kB"), (2_560, "2.6 kB"), (2_560_000, "3 MB"), (1_200_000_000, "1.2 GB")],
)
def test_sizes(size: int, text: str) -> None:
    assert phrases.memory(size) == text
