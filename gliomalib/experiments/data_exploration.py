"""Who is in the data, who is in it twice, and how the patients were dealt out: notebook 01."""

from collections.abc import Sequence

import pandas as pd

from gliomalib.cohort import identity
from gliomalib.cohort.gather import Cohort
from gliomalib.data.readers.people import Identity
from gliomalib.digits import counted
from gliomalib.schema import Split, Value

LINKS = {
    "table": "pairs of used or duplicate examinations of one patient by tables or names",
    "content": "pairs of examinations with equal voxels of T1, or of masks without images",
    "suspect": "pairs of examinations that neither joins but whose T1 signatures are alike",
    "twin": "held-out phantoms imaged at the second site too, as they were made",
}
"""How two examinations were recognised as one patient's; twins are no fault, all others are."""


def values(cohort: Cohort, splits: Sequence[Split]) -> list[Value]:
    """Return how many examinations and patients each part has, doubts, and files not used."""
    cases = cohort.cases
    n_in = cases["part"].value_counts()
    counts = {
        "examinations": (len(cases), "examinations found, used or not"),
        "patients_internal": (n_in.get("internal", 0), "patients to train and test"),
        "patients_external": (n_in.get("external", 0), "patients never trained on"),
        "duplicates": (n_in.get("duplicate", 0), "further examinations of a patient used already"),
        "excluded": (n_in.get("excluded", 0), "examinations left out for a fault of their files"),
        "unused_files": (cohort.unused["files"].sum(), "files that are not used, with reasons"),
        "notes": (len(cohort.notes), "doubts about examinations without fault, see the table"),
        "folds": (len(splits), "patient-level splits"),
        "patients_test": (
            len({name for split in splits for name in split.test}),
            "internal patients that are held out in some fold",
        ),
    }
    n = cases.loc[cases["part"].isin(["internal", "external"]), "patient_id"].nunique()
    return [
        Value(name, float(count), n_patients=n, rule=rule) for name, (count, rule) in counts.items()
    ]


def who_is_who(links: pd.DataFrame, people: Sequence[Identity]) -> list[Value]:
    """Return how cases were recognised as one patient's, and what pooling the years would do.

    ``links`` and ``people`` are those of ``gather.Cohort``. Without a table of subject IDs across
    years there are no values of the years.
    """
    linked = [
        Value(f"linked_by_{how}", float((links["how"] == how).sum()), rule=rule)
        for how, rule in LINKS.items()
        if how != "twin" or how in set(links["how"])
    ]
    facts = identity.overlap_facts(people)
    if not facts:
        return linked
    years = [name for name in facts if name.isdecimal()]
    pooled = f"pooling {', '.join(years)} by the organisers' tables"
    leak = (
        f"{pooled} and drawing {facts['test_volumes']} of {facts['volumes']} volumes at random for "
        "testing: expected share of these whose patient is also in training"
    )
    named = "patients whom the tables of subject IDs name for"
    counts = [
        *((f"patients_{year}", year, f"{named} {year}") for year in years),
        ("pooled_volumes", "volumes", pooled),
        ("pooled_patients", "patients", pooled),
        ("leaking_share", "leaking_share", leak),
    ]
    n = int(facts["patients"])
    return linked + [
        Value(name, float(facts[key]), n_patients=n, rule=rule) for name, key, rule in counts
    ]


def conclusion(values: Sequence[Value]) -> str:
    """Say who is in the data, how they were divided, and what pooling the years would have done."""
    number = {value.name: value.value for value in values}
    folds = "one split" if number["folds"] == 1 else f"{number['folds']:.0f} folds"
    twins = number.get("linked_by_twin")
    again = f" ({twins:.0f} of them held-out phantoms imaged at the second site)" if twins else ""
    nouns = {
        "patients_internal": "internal patient",
        "patients_external": "external one",
        "duplicates": "further examination",
    }
    internal, external, further = (
        counted(round(number[name]), noun) for name, noun in nouns.items()
    )
    text = (
        f"{internal} ({number['patients_test']:.0f} of them held out, in {folds}) and {external}"
        f"{again}; {further} of the same patients {'was' if number['duplicates'] == 1 else 'were'} "
        f"set aside ({number['linked_by_suspect']:.0f} on suspicion), {number['excluded']:.0f} "
        "excluded for a fault of their files, and no patient is in two parts."
    )
    if "leaking_share" not in number:
        return f"{text} No table tells who of one BraTS year is in another."
    return (
        f"{text} The tables of names put {number['pooled_volumes']:.0f} volumes of "
        f"{number['pooled_patients']:.0f} patients into the pooled years: split by volume, "
        f"{100 * number['leaking_share']:.0f} % of the test volumes would have their patient in "
        "training."
    )
