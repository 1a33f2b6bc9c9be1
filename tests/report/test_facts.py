"""What records say of how the runs of a study were made."""

from dataclasses import replace
from pathlib import Path

from gliomalib import records, settings
from gliomalib.report import facts
from tests import planted_report as planted
from tests.report.reading import collected


def test_settings_are_those_of_the_record_else_of_the_study(folder: Path) -> None:
    other = settings.load("demo", {"fusion.alpha": 0.35})
    for parameters, alpha in ((None, 0.35), ({"alpha": 1}, 0.6)):
        made = planted.record(other, facts.FUSED, planted.values()[facts.FUSED])
        made = made if parameters is None else replace(made, parameters=parameters)
        records.write(made, folder)
        assert facts.as_run(collected(folder), facts.FUSED).fusion.alpha == alpha
    records.record_path(folder, facts.FUSED).unlink()
    assert facts.as_run(collected(folder), facts.FUSED) == settings.load("demo")


def test_a_value_that_is_not_there_is_none(folder: Path) -> None:
    report = collected(folder)
    accuracy = report.value(facts.CLASSES, "accuracy")
    assert accuracy is not None and accuracy.value == 0.8125
    assert report.value(facts.CLASSES, "no such value") is None
    assert report.value("09_loss_ablations", "accuracy") is None
