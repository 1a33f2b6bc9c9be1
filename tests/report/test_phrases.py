"""What settings are called."""

import pytest

from gliomalib import settings
from gliomalib.report import phrases


@pytest.mark.parametrize("value", [None, (0.1, 1.0, 1.0, 2.0)])
@pytest.mark.parametrize(
    "loss", list(settings.Segmentation.model_fields["loss"].annotation.__args__)
)
def test_every_loss_has_words(loss: str, value: tuple[float, ...] | None) -> None:
    given = {"epochs": 1, "batch_size": 1, "loss": loss, "class_weights": value}
    told = phrases.loss(settings.Segmentation.model_validate(given))
    assert told
    assert ("weighted 0.1, 1, 1 and 2" in told) == (value is not None)
    assert ("γ = 2" in told) == (loss == "focal")


@pytest.mark.parametrize(
    ("model", "name", "table"),
    [
        (settings.Optimisation, "precision", phrases.PRECISIONS),
        (settings.Classifier, "loss", phrases.LOSSES),
        (settings.Classifier, "weights", phrases.WEIGHTS),
        (settings.Classifier, "image", phrases.IMAGES),
        (settings.Classifier, "label_rule", phrases.LABEL_RULES),
        (settings.Evaluation, "empty", phrases.EMPTY),
    ],
)
def test_every_choice_has_words(
    model: type[settings.Model], name: str, table: dict[str, str]
) -> None:
    choices = set(model.model_fields[name].annotation.__args__)  # type: ignore[union-attr]
    assert choices <= set(table)
