"""The verdict of the first plan on each claim, as its page (book/plan.md) decides it."""

from collections.abc import Mapping
from importlib import import_module
from math import isnan, nan
from pkgutil import iter_modules
from types import ModuleType

import pandas as pd

from ufm import first_plan
from ufm.data.sources import source
from ufm.evidence import Cards
from ufm.evidence.cells import contrast_cells
from ufm.first_plan.claims import Outcome, Result
from ufm.plan.registry import rank
from ufm.plan.sweep import Sweep
from ufm.plan.thresholds import THRESHOLDS
from ufm.statistics import holm


def judged() -> list[ModuleType]:
    """The files of this room with a `CLAIM`, in its order."""
    files = [import_module(f"{first_plan.__name__}.{file.name}") for file in iter_modules(first_plan.__path__)]
    return sorted((file for file in files if hasattr(file, "CLAIM")), key=lambda file: rank(file.CLAIM.name))


def results(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> dict[str, Result]:
    """By claim, of those that any population with all its seeds says something of."""
    complete = {name: cards for name, cards in populations.items() if cards.complete}
    by_claim = {file.CLAIM.name: file.result(complete, planned) for file in judged()}
    return {claim: result for claim, result in by_claim.items() if result is not None}


def verdicts(populations: Mapping[str, Cards], *, planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """A row a claim.

    Columns: claim, statement, effect, low, high, unit, weakest, n_weakest, p, n, holds_in, where, verdict, chapter,
    about. A claim's p is the largest of its cells, corrected after Holm over the claims that are tested; effect and
    interval are of the cell in which the claim is weakest, of those that have one: `weakest` names it, and it has
    `n_weakest` seeds where all cells have n. `planned`: the sweeps that the plan asks for; while one lacks seeds, the
    verdict is one "so far". `holds_in` says in how many of the cells asked for, `where` which cells came out how,
    `about` what the effect is.
    """
    by_claim = results(populations, planned)
    raw = {name: float(result.table["p"].max(skipna=False)) for name, result in by_claim.items() if len(result.table)}
    tested = [name for name, p in raw.items() if not isnan(p)]
    corrected = dict(zip(tested, holm([raw[name] for name in tested]), strict=True)) if tested else {}
    rows = []
    for claim in (file.CLAIM for file in judged()):
        row = {"claim": claim.name, "statement": claim.statement, "effect": nan, "low": nan, "high": nan, "unit": ""}
        row |= {"weakest": "", "n_weakest": 0, "p": nan, "n": 0, "holds_in": "", "where": ""}
        row |= {"verdict": Outcome.NOT_TESTED, "chapter": claim.chapter}
        if claim.name in by_claim:
            result, p = by_claim[claim.name], corrected.get(claim.name, nan)
            for weakest in result.table.sort_values("low").head(1).to_dict("records"):  # of those with an effect
                row |= {"effect": weakest["estimate"], "low": weakest["low"], "high": weakest["high"]}
                row |= {"weakest": named(weakest), "n_weakest": weakest.get("n_seeds", weakest["n"])}
            row |= {"unit": result.unit, "p": p, "n": result.n}
            shown = result.table if result.every is None else result.every
            row |= {"holds_in": f"{result.agree} of {result.asked} cells", "where": where(shown)}
            row |= {"verdict": result.outcome(p) + (" so far" if result.there < result.asked else "")}
        rows.append(row | {"about": claim.effect})
    return pd.DataFrame(rows)


def where(cells: pd.DataFrame) -> str:
    """Which cells came out how, in words: "memorised: MNIST, full (random, hard hosts)", a part a verdict.

    Many cells that all came out alike are only counted: "memorised: all 12".
    """
    in_words = cells.get("in_words", cells["verdict"])
    if len(cells) > THRESHOLDS.many_cells and in_words.nunique() == 1:
        return f"{in_words.iloc[0]}: all {len(cells)}"
    parts = []
    for verdict, rows in cells.groupby(in_words, sort=False):
        kinds: dict[str, list[str]] = {}
        for row in rows.to_dict("records"):
            one = named({name: value for name, value in row.items() if name != "host"})
            kinds.setdefault(one, []).extend([row["host"]] if "host" in row else [])
        names = (f"{name} ({', '.join(hosts)} hosts)" if hosts else name for name, hosts in kinds.items())
        parts.append(f"{verdict}: {'; '.join(names)}")
    return ". ".join(parts)


def named(cell: Mapping) -> str:
    """A cell in words, such as "MNIST, full, random hosts"."""
    host = f"{cell['host']} hosts" if "host" in cell else ""
    return ", ".join(part for part in (cell["population"], cell.get("setting", ""), host) if part)


def as_in_the_paper(populations: Mapping[str, Cards]) -> str:
    """Which verdicts the cells have that are like the paper's setting: full size, random hosts. In words."""
    full = {cards.trained_on for cards in populations.values() if all_images(cards)}
    table = contrast_cells(populations)
    cells = table[table["population"].isin(full) & (table["host"] == "random")]
    words = [f"{row['population']}: {row['in_words']}" for row in cells.to_dict("records")]
    return "; ".join(words) or "not part of this profile"


def all_images(cards: Cards) -> bool:
    """Whether the models are trained on all training images of their data set."""
    return cards.protocol.n_train in (None, source(cards.protocol.dataset).n_train)
