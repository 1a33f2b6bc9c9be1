"""The folder of a study with made-up records, tables and one executed notebook."""

from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from gliomalib import records, settings
from gliomalib.schema import Exclusion, Record, Value

ATTACK = "<script>alert(1)</script>\"'\u202eabc"
"""A patient's ID that is no such thing: a tag, both quotes, a mark that turns the writing."""

VERSIONS = {"python": "3.11.9", "torch": "2.11.0", "monai": "1.6.0"}
DICE = ("mean", "NCR", "ED", "ET", "WT", "TC")
SCORES = "patient_id,region,dice,hd95_mm,state,truth_ml,predicted_ml,network,part,fold\n"
VERDICTS = "claim,statement,published,obtained,verdict,reason,notebook,group\n"


def counts(numbers: dict[str, int]) -> list[Value]:
    return [Value(name, float(number), rule="counted") for name, number in numbers.items()]


def dice(prefix: str, first: float, n: int) -> list[Value]:
    return [
        Value(
            f"{prefix}dice_{region}",
            first + 0.01 * place,
            (0.1, 0.9),
            n,
            n_missed=int(region == "ET"),
            rule="mean",
        )
        for place, region in enumerate(DICE)
    ]


def values() -> dict[str, list[Value]]:
    """Return the values of each record, no two numbers alike."""
    people = {"examinations": 64, "patients_internal": 47, "patients_external": 9,
              "duplicates": 6, "excluded": 2, "folds": 1, "patients_test": 11}  # fmt: skip
    return {
        "01_data_exploration": counts(people),
        "02_preprocessing": [
            Value("mean_lost_by_box", 0.0437, (0.021, 0.066), 56, rule="mean"),
            Value("worst_lost_by_box", 0.2875, None, 56, rule="worst"),
        ],
        "03_train_unet2d": [
            *dice("", 0.61, 11),
            Value("class_collapse", 1.0, None, 11, rule="Found."),
        ],
        "04_train_unet3d": dice("", 0.51, 11),
        "05_fusion": [*dice("", 0.71, 11), *dice("external_", 0.41, 9)],
        "06_train_resnet50": [Value("accuracy", 0.8125, (0.7, 0.9), 11, rule="pooled")],
        "13_external_validation": [Value("ece_internal", 0.0713, (0.06, 0.08), 11, rule="15 bins")],
        "14_efficiency": [
            *counts({"parameters_2d": 402113, "parameters_3d": 1205117}),
            *counts({"parameters_resnet50": 23516228}),
            Value("seconds_p95_all", 0.7, None, 3, unit="s", rule="95th percentile"),
        ],
        "16_reproducibility_report": counts({"claims_not_run": 3}),
    }  # fmt: skip


def record(study: settings.Study, name: str, found: list[Value], **more: Any) -> Record:
    notebook, _, variant = name.partition(".")
    told: dict[str, Any] = {
        "claims": (),
        "parameters": study.model_dump(mode="json"),
        "seed": study.seed,
        "device": "cpu",
        "wall_s": 60.0,
        "peak_memory_bytes": 1_200_000_000,
        "provenance": {"date": "2026-01-02", "commit": "abc123", "lock_sha256": "d1",
                       "code_digest": "c1", "data_digest": "e1", "versions": VERSIONS,
                       "hardware": {"processor": "A Good Machine", "cores": "4"}},
        "caveats": study.caveats,
        "conclusion": f"Nothing is decided by {name}. It has 2.5 reasons. More.",
    }  # fmt: skip
    return Record(notebook, study.study, variant, values=tuple(found), **{**told, **more})


def executed(title: str) -> NotebookNode:
    cells = [
        v4.new_markdown_cell(f"# {title}\n\n**Question.** Is it so?", id="c0"),
        v4.new_code_cell("1 + 1", execution_count=1, id="c1"),
    ]
    return v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def fill(folder: Path, study: str = "demo") -> Path:
    """Write records of the main line, tables and the executed copy of notebook 05."""
    own = settings.load(study)
    for name, found in values().items():
        records.write(record(own, name, found), folder)
    tables = folder / "tables"
    tables.mkdir()
    (tables / "01_data_exploration.faults.csv").write_text("case_id,release,kind,file,what to do\n")
    (tables / "16_reproducibility_report.verdicts.csv").write_text(
        f"{VERDICTS}C1,Accurate,0.99,–,not testable on this data,too few,06_train_resnet50,\n"
        "C9,Better,0.1,0.2,reproduced,above,05_fusion,\n"
    )
    (tables / "05_fusion.scores.csv").write_text(f"{SCORES}P1,NCR,0.5,2,both,1,1,fused,test,0\n")
    (folder / "notebooks").mkdir()
    write_notebook(folder, "05_fusion", executed("05 · Fused?"))
    return folder


def rewrite(folder: Path, name: str, study: str = "demo", **more: Any) -> None:
    records.write(record(settings.load(study), name, values()[name], **more), folder)


def exclude(folder: Path, study: str, *left_out: Exclusion) -> None:
    """Write the record of notebook 01 with the examinations that it left out."""
    rewrite(folder, "01_data_exploration", study, exclusions=left_out)


def write_notebook(folder: Path, name: str, notebook: NotebookNode) -> None:
    nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
