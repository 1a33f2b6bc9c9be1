"""Who is who: patients that are in several releases, by table, by content, or perhaps."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from gliomalib.data import fingerprint
from gliomalib.data.inspection import Inspection
from gliomalib.data.readers.people import GRADES, Identity

How = Literal["table", "content", "suspect", "twin"]

PAPER_YEARS = (2018, 2019, 2020)
"""The BraTS years that the paper names."""


@dataclass(frozen=True)
class Link:
    """Two cases of one patient, and how that is known.

    ``table``: the releases' own tables or names say so. ``content``: the very same voxels.
    ``suspect``: alike beyond what two patients are, as one scan processed in two ways;
    ``similarity`` is then the correlation of their signatures. ``twin``: one phantom at two
    sites, by the phantoms' own table; these stay two patients, and the second trains no network.
    """

    case_id: str
    other_id: str
    how: How
    similarity: float = 1.0


def links(scans: Sequence[Inspection], twins: Mapping[str, str] | None = None) -> list[Link]:
    """Return how cases belong together, each with the first case of its patient.

    Suspects are pairs that neither a table nor equal voxels join. Cases without a signature are
    compared by table and content only. ``twins`` are phantoms known to have the anatomy of
    another one, by case ID: such a pair is named, and is no suspect.
    """
    joined = [*_same(scans, "table"), *_same(scans, "content")]
    first = _first_of_each([scan.case.case_id for scan in scans], joined)
    signed = {scan.case.case_id: scan.signature for scan in scans if scan.signature is not None}
    names = list(signed)
    pairs = [pair for pair in (twins or {}).items() if signed.keys() >= set(pair)]
    joined += [Link(*pair, "twin", float(signed[pair[0]] @ signed[pair[1]])) for pair in pairs]
    for i, j, similarity in fingerprint.suspects(list(signed.values())):
        pair = {names[i], names[j]}
        if first[names[i]] != first[names[j]] and pair not in map(set, pairs):
            joined.append(Link(names[i], names[j], "suspect", float(similarity)))
    return joined


def patients(scans: Sequence[Inspection], joined: Sequence[Link]) -> dict[str, str]:
    """Return case ID → patient ID, for all cases that belong together that of the first one.

    Suspects count as one patient: taking two patients for one costs a case, taking one for two
    could put it into training and test. Twins are two: nobody trains on the second one.
    """
    named = {scan.case.case_id: scan.case.patient_id for scan in scans}
    one_patient = [link for link in joined if link.how != "twin"]
    return {name: named[first] for name, first in _first_of_each(named, one_patient).items()}


def link_table(joined: Sequence[Link]) -> pd.DataFrame:
    """Return links as a table: case_id, same_as, how, similarity."""
    rows = [(link.case_id, link.other_id, link.how, round(link.similarity, 3)) for link in joined]
    return pd.DataFrame(rows, columns=["case_id", "same_as", "how", "similarity"])


def overlap(cases: pd.DataFrame) -> pd.DataFrame:
    """Return how many patients the releases share; ``cases`` has patient_id and release.

    One row a release: release, examinations, patients, then one column a release with the number
    of the row's patients who are also in it.
    """
    examinations = cases.groupby(["patient_id", "release"]).size().unstack(fill_value=0)
    there = (examinations > 0).astype(int)
    # entry (a, b) of the product counts the patients who are in release a and in release b
    shared = there.T @ there
    shared.insert(0, "examinations", examinations.sum())
    shared.insert(1, "patients", there.sum())
    return shared.rename_axis(columns=None).reset_index()


def year_overlap(people: Sequence[Identity]) -> pd.DataFrame:
    """Return one row a year of the organisers' table of subject IDs across years.

    Columns: year, patients, known (patients also in an earlier year), new, HGG, LGG.
    """
    rows = []
    for year in sorted({year for person in people for year in person.ids}):
        there = [person for person in people if year in person.ids]
        known = sum(min(person.ids) < year for person in there)
        grades = (sum(person.grade == grade for person in there) for grade in GRADES)
        rows.append((year, len(there), known, len(there) - known, *grades))
    return pd.DataFrame(rows, columns=["year", "patients", "known", "new", *GRADES])


def overlap_facts(people: Sequence[Identity], test_share: float = 0.2) -> dict[str, float]:
    """Return what pooling ``PAPER_YEARS`` and splitting by volume does, by the organisers' tables.

    By name: patients of each year, as ``2018``, then volumes, patients and test_volumes of all,
    and the expected share of test volumes whose patient is also in training, ``leaking_share``.
    Years of which the tables name nobody are left out; empty where that is all of them. A test
    volume whose patient has m volumes of N has none in training if its m - 1 siblings are among
    the other T - 1 test volumes, with probability C(N-m, T-m) / C(N-1, T-1) (hypergeometric).
    """
    there = [[year for year in PAPER_YEARS if year in person.ids] for person in people]
    copies = [len(years) for years in there if years]
    if not copies:
        return {}
    volumes = sum(copies)
    test = max(1, round(test_share * volumes))
    ways = math.comb(volumes - 1, test - 1)
    # whole numbers until the division: the binomials of some thousand volumes exceed any float
    alone = [math.comb(volumes - m, test - m) / ways if m <= test else 0.0 for m in copies]
    share = sum(m * (1 - p) for m, p in zip(copies, alone, strict=True)) / volumes
    pooled = {"volumes": volumes, "patients": len(copies), "test_volumes": test}
    by_year = sorted(Counter(chain.from_iterable(there)).items())
    return {**{str(year): n for year, n in by_year}, **pooled, "leaking_share": share}


def _same(scans: Sequence[Inspection], how: Literal["table", "content"]) -> list[Link]:
    first: dict[str, str] = {}
    joined = []
    for scan in scans:
        mark = scan.case.patient_id if how == "table" else scan.content
        if mark is None:
            continue
        name = first.setdefault(mark, scan.case.case_id)
        if name != scan.case.case_id:
            joined.append(Link(scan.case.case_id, name, how))
    return joined


def _first_of_each(names: Iterable[str], joined: Iterable[Link]) -> dict[str, str]:
    """Return each case's first case by the order of ``names``, over links in whatever order."""
    place = {name: number for number, name in enumerate(names)}
    ends = [(place[link.case_id], place[link.other_id]) for link in joined]
    rows, columns = np.array(ends, dtype=int).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(len(ends)), (rows, columns)), (len(place), len(place)))
    _, groups = csgraph.connected_components(graph, directed=False)
    first: dict[np.int32, str] = {}
    return {name: first.setdefault(group, name) for name, group in zip(place, groups, strict=True)}
