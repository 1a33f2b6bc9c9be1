"""Splits by patient or by site: made from one seed, checked when made, written and read."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from gliomalib.cohort.table import MADE_BY
from gliomalib.digits import counted
from gliomalib.inputs import Frozen, explain
from gliomalib.provenance import write_atomic
from gliomalib.schema import DataError, MismatchError, Split, StoredError
from gliomalib.settings import By, SplitPlan, Study, named_seed

PARTS = ("train", "val", "test", "external")
"""Parts of a fold, as the fields of a ``Split`` are called."""

Deals = Mapping[By, tuple[Split, ...]]
"""Who is tested together → the folds."""


class _File(Frozen):
    """What lies on disk: the folds, and everybody who is in them."""

    patients: tuple[str, ...]
    splits: tuple[Split, ...]


def make_splits(
    internal: Sequence[str],
    external: Sequence[str],
    plan: SplitPlan,
    seed: int,
    held_out: Collection[str] = (),
) -> tuple[Split, ...]:
    """Return patient-level splits, the same for the same patients in whatever order.

    One fold: ``test_share`` (at least one patient) and ``val_share`` of all; ``held_out`` are
    among the tested ones, as somebody external has their anatomy. More folds: each patient is
    tested once, and ``val_share`` of the rest of a fold validates. Raises ``DataError`` where
    there are too few patients, one is duplicated, or several folds would train on ``held_out``.
    """
    patients = sorted(internal)
    least = max(2, plan.folds)
    if len(patients) < least:
        who, folds = counted(len(patients), "internal patient"), counted(plan.folds, "fold")
        raise DataError(f"{who}, but {folds} would take {least}; give more patients or fewer folds")
    if held_out and plan.folds > 1:
        raise DataError(f"{plan.folds} folds would train on {min(held_out)}, who must be tested")
    shuffled = _shuffled(patients, named_seed(seed, "split"))
    if plan.folds == 1:
        # a stable sort: whoever must be tested comes first, all others stay in their order
        first = sorted(shuffled, key=lambda name: name not in held_out)
        tests = [first[: max(1, len(held_out), round(plan.test_share * len(shuffled)))]]
    else:
        # patients 0, n, 2n, … of the shuffled ones: sizes differ by one at most
        tests = [shuffled[fold :: plan.folds] for fold in range(plan.folds)]
    return _splits(tests, shuffled, external, plan, seed)


def make_site_splits(
    sites: Mapping[str, str], external: Sequence[str], plan: SplitPlan, seed: int
) -> tuple[Split, ...]:
    """Return a fold that tests each site of ``plan.site_patients`` or more, the largest first.

    The smaller ones are one fold, the last. ``sites`` is internal patient → site; whoever has an
    empty one is in no part, as nobody knows which networks saw the others of that site. Raises
    ``DataError`` for fewer than two folds.
    """
    known = sorted(name for name, site in sites.items() if site)
    counts = Counter(sites[name] for name in known)
    large = sorted(site for site, n in counts.items() if n >= plan.site_patients)
    large.sort(key=lambda site: -counts[site])
    tests = [[name for name in known if sites[name] == site] for site in large]
    tests += [small] if (small := [name for name in known if sites[name] not in large]) else []
    if len(tests) < 2:
        raise DataError(
            f"{counted(len(counts), 'known site')}, {len(large)} with {plan.site_patients} "
            "patients or more: folds by site need two; split by patient, or lower "
            "split.site_patients"
        )
    return _splits(tests, _shuffled(known, named_seed(seed, "split")), external, plan, seed)


def deal(cases: pd.DataFrame, study: Study, held_out: Collection[str] = ()) -> Deals:
    """Return the splits of a study, and after them those that only variants of it ask for.

    ``cases`` is the table of cases, ``held_out`` are those of ``make_splits``. Raises ``DataError``
    as that does and ``make_site_splits``.
    """
    internal = cases[cases["part"] == "internal"].set_index("patient_id")
    external = list(cases.loc[cases["part"] == "external", "patient_id"])
    variants = [changes for named in study.variants.values() for changes in named.values()]
    asked = [study.split.by, *(new["split_by"] for new in variants if "split_by" in new)]
    deals: dict[By, tuple[Split, ...]] = {}
    for by in dict.fromkeys(asked):
        if by == "patient":
            names = list(internal.index)
            deals[by] = make_splits(names, external, study.split, study.seed, held_out)
        elif held_out:
            raise DataError(f"folds by site would train on {min(held_out)}, who must be tested")
        else:
            sites = dict(zip(internal.index, internal["site"], strict=True))
            deals[by] = make_site_splits(sites, external, study.split, study.seed)
    return deals


def check_splits(splits: Sequence[Split], patients: Sequence[str]) -> None:
    """Refuse splits that leak or that lose somebody of ``patients`` (internal and external).

    Raises ``MismatchError`` for a patient in two parts of a fold, tested in two folds or
    external in one fold only, and ``DataError`` for one who is missing or unknown and for a fold
    without training or test patients.
    """
    twice = _repeated(patients)
    if twice or not splits:
        fault = f"{', '.join(twice)} twice in the list of patients" if twice else "no fold at all"
        raise DataError(f"splits: {fault}; run {MADE_BY} again")
    for split in splits:
        _check_fold(split, patients)
    if any(sorted(split.external) != sorted(splits[0].external) for split in splits):
        raise MismatchError(
            f"splits: the external patients differ between folds; run {MADE_BY} again"
        )
    if len(splits) > 1:
        tested = [name for split in splits for name in split.test]
        never = sorted(set(patients) - set(tested) - set(splits[0].external))
        if _repeated(tested) or never:
            raise MismatchError(
                f"splits: {', '.join(_repeated(tested)) or 'nobody'} tested in two folds, "
                f"{', '.join(never) or 'nobody'} in none; run {MADE_BY} again"
            )


def split_table(deals: Deals) -> pd.DataFrame:
    """Return one row a fold: how many patients train, validate, are tested, are external."""
    rows = [
        (by, split.fold, *(len(getattr(split, part)) for part in PARTS), ", ".join(split.test))
        for by, splits in deals.items()
        for split in splits
    ]
    return pd.DataFrame(rows, columns=["by", "fold", *PARTS, "held out"])


def path_of(work_dir: Path, by: By) -> Path:
    """Return where the splits of a study by patient or by site lie."""
    return work_dir / ("splits.json" if by == "patient" else "splits-site.json")


def write_deals(deals: Deals, work_dir: Path) -> list[Path]:
    """Write all splits of a study, each with ``write_splits``."""
    return [write_splits(splits, path_of(work_dir, by)) for by, splits in deals.items()]


def write_splits(splits: Sequence[Split], path: str | Path) -> Path:
    """Write splits as JSON with the list of all patients; refuses what `check_splits` refuses."""
    patients = sorted(_everyone(splits[0])) if splits else []
    check_splits(splits, patients)
    content = {"patients": patients, "splits": [asdict(split) for split in splits]}
    return write_atomic(Path(path), json.dumps(content, indent=1) + "\n")


def read_splits(path: str | Path) -> tuple[Split, ...]:
    """Read what `write_splits` wrote and check it again, as somebody may have edited it.

    Raises ``DataError`` where the file is missing or damaged, and what `check_splits` raises.
    """
    try:
        content = _File.model_validate_json(Path(path).read_bytes())
    except FileNotFoundError:
        raise StoredError(f"{path}: the splits are missing; run {MADE_BY}") from None
    except ValidationError as error:
        raise StoredError(f"{path}: damaged ({explain(error)}); run {MADE_BY} again") from None
    check_splits(content.splits, content.patients)
    return content.splits


def _splits(
    tests: Sequence[Sequence[str]],
    everyone: Sequence[str],
    external: Sequence[str],
    plan: SplitPlan,
    seed: int,
) -> tuple[Split, ...]:
    """Return a fold for each of ``tests``, in which the rest of ``everyone`` trains."""
    splits = []
    for fold, test in enumerate(tests):
        rest = [name for name in everyone if name not in test]
        rest = _shuffled(rest, named_seed(seed, "split", "val", fold))
        # one split divides all patients by its shares, a fold divides what it does not test
        cut = round(plan.val_share * len(everyone if len(tests) == 1 else rest))
        parts = [tuple(sorted(part)) for part in (rest[cut:], rest[:cut], test, external)]
        splits.append(Split(fold, *parts))
    check_splits(splits, [*everyone, *external])
    return tuple(splits)


def _shuffled(names: Sequence[str], seed: int) -> list[str]:
    order = np.random.default_rng(seed).permutation(len(names))
    return [names[index] for index in order]


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _everyone(split: Split) -> tuple[str, ...]:
    return (*split.train, *split.val, *split.test, *split.external)


def _check_fold(split: Split, patients: Sequence[str]) -> None:
    names = _everyone(split)
    twice = _repeated(names)
    if twice:
        raise MismatchError(
            f"fold {split.fold}: {', '.join(twice)} in two parts, so results would leak; "
            f"run {MADE_BY} again"
        )
    missing = sorted(set(patients) - set(names))
    unknown = sorted(set(names) - set(patients))
    if missing or unknown or not split.train or not split.test:
        raise DataError(
            f"fold {split.fold}: {len(split.train)} train, {len(split.test)} test, "
            f"missing {', '.join(missing) or 'nobody'}, unknown {', '.join(unknown) or 'nobody'}; "
            f"run {MADE_BY} again"
        )
