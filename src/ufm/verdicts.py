"""The verdict on each claim, as the plan page decides it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from math import isnan, nan

import pandas as pd

from ufm import detectors
from ufm.evidence import Cards, contrasts, learnt
from ufm.performance import evidence
from ufm.statistics import bootstrap_interval, holm, seeds_needed, sign_flip_test, smallest_detectable

LEVEL = 0.05
SMALLEST = 0.02  # nats: the smallest contrast that matters
SMALLEST_AREA = 0.6  # the smallest area that matters
FEWEST_LEARNT = 20  # canaries, below which a set decides nothing about detection
CHOSEN_ON = "mnist-small"  # the population on which the detector was chosen, so no part of C2's evidence

HOLDS, IN_PART, DOES_NOT_HOLD = "holds", "holds in part", "does not hold"
UNDECIDED, NOT_TESTED = "undecided", "not tested"
MEMORISED, NOT_MEMORISED = "memorised", "not memorised"
OPEN = "seeds pending"


@dataclass(frozen=True)
class Claim:
    """What the paper says, in other words, and where it is looked at."""

    name: str
    statement: str
    chapter: str = ""


CLAIMS = (
    Claim("C1", "A feature that occurs once in the training images is memorised.", "hosts"),
    Claim("C2", "The feature and the model's outputs are enough to show it.", "detection"),
    Claim("C3", "Usual ways to prevent overfitting do not prevent it."),
    Claim("C4", "An image with a unique feature is highly influential."),
    Claim("C5", "Memorisation varies much with the training seed."),
    Claim("C6", "The risk matters for medical images."),
)


def contrast_cells(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """C1, a row a population and kind of host.

    Columns: population, host, n (seeds), estimate, low, high (mean contrast D at the best epoch, nats), p (sign flips),
    p_holm (over the rows), early, early_low, early_high (at epoch 10), detectable (the smallest mean that so many seeds
    show with a power of 80 %), seeds_for_half (how many would show half of it), verdict. A population that lacks seeds
    has no p and is open: it is looked at when it is complete.
    """
    rows = []
    for cards in populations.values():
        for host in cards.protocol.hosts:
            best, early = contrasts(cards, host), contrasts(cards, host, epoch="early")
            at_ten, spread = bootstrap_interval(early), float(best.std(ddof=1))
            detectable = smallest_detectable(spread, len(best))
            rows.append(
                {"population": cards.title, "host": host}
                | asdict(bootstrap_interval(best))
                | {"p": sign_flip_test(best) if cards.complete else nan, "p_holm": nan}
                | {"early": at_ten.estimate, "early_low": at_ten.low, "early_high": at_ten.high}
                | {"detectable": detectable, "seeds_for_half": seeds_needed(detectable / 2, spread)}
            )
    table = pd.DataFrame(rows)
    decided = table["p"].notna()
    if decided.any():
        table.loc[decided, "p_holm"] = holm(table.loc[decided, "p"])
    table["verdict"] = [cell_verdict(row) if not isnan(row["p"]) else OPEN for row in table.to_dict("records")]
    return table


def cell_verdict(row: Mapping[str, float]) -> str:
    """Memorised, not memorised, undecided, or contradicted by epoch 10, as the plan has it."""
    if row["low"] > 0 > row["early_high"] or row["high"] < 0 < row["early_low"]:
        return "contradicted"
    if row["p_holm"] < LEVEL and row["estimate"] > 0:
        return MEMORISED
    return NOT_MEMORISED if row["high"] < SMALLEST else UNDECIDED


def memorised(table: pd.DataFrame, p_corrected: float) -> str:
    """C1's verdict from its cells and the claim's corrected p."""
    cells = table["verdict"]
    if (cells == MEMORISED).all() and p_corrected < LEVEL:
        return HOLDS
    if (cells == MEMORISED).any():
        return IN_PART
    return DOES_NOT_HOLD if (cells == NOT_MEMORISED).all() else UNDECIDED


def detection_sets(populations: Mapping[str, Cards], host: str = "hard") -> pd.DataFrame:
    """C2, a row a population that the detector was not chosen on.

    Columns: population, n (seeds whose canary learnt the letter), n_seeds, estimate, low, high (area of the default
    detector), p (exchange test). NaN where too few canaries learnt the letter, or where seeds are pending.
    """
    rows = []
    for cards in populations.values():
        ours = int(learnt(cards, host).sum())
        row = {"population": cards.title, "n": ours, "n_seeds": len(cards.seeds)}
        decides = ours >= FEWEST_LEARNT and cards.complete
        enough = evidence(detectors.DEFAULT, cards, host) if decides else {}
        rows.append({"estimate": nan, "low": nan, "high": nan, "p": nan} | enough | row)
    return pd.DataFrame(rows)[["population", "n", "n_seeds", "estimate", "low", "high", "p"]]


def headline(populations: Mapping[str, Cards]) -> dict[str, Cards]:
    """The populations that decide C2: those that the detector was not chosen on."""
    return {name: cards for name, cards in populations.items() if name != CHOSEN_ON}


def detectable(table: pd.DataFrame, p_corrected: float) -> str:
    """C2's verdict from its sets and the claim's corrected p."""
    above = (table["low"] > 0.5).to_numpy()
    if above.all() and p_corrected < LEVEL:
        return HOLDS
    if above.any():
        return IN_PART
    return DOES_NOT_HOLD if (table["high"] < SMALLEST_AREA).all() else UNDECIDED


def verdicts(populations: Mapping[str, Cards], *, planned: Collection[str]) -> pd.DataFrame:
    """A row a claim: columns claim, statement, effect, low, high, unit, p, n, sets, verdict, chapter.

    A claim's p is the largest of its cells, corrected after Holm over the claims that are tested; effect and interval
    are of the cell in which the claim is weakest, of those that have one. `planned`: names of the populations that the
    plan asks for; while one lacks seeds, the verdict is one "so far".
    """
    there = {name: cards for name, cards in populations.items() if cards.complete}
    sets = headline(there)
    results = {  # a claim's table, its unit, its rule, and how many populations it asks for
        "C1": (contrast_cells(there) if there else None, "nats", memorised, len(planned)),
        "C2": (detection_sets(sets) if sets else None, "area", detectable, len(set(planned) - {CHOSEN_ON})),
    }
    results = {name: one for name, one in results.items() if one[0] is not None}
    raw = {name: float(table["p"].max(skipna=False)) for name, (table, *_) in results.items()}
    tested = [name for name, p in raw.items() if not isnan(p)]
    corrected = dict(zip(tested, holm([raw[name] for name in tested]), strict=True)) if tested else {}
    rows = []
    for claim in CLAIMS:
        row = {"claim": claim.name, "statement": claim.statement, "effect": nan, "low": nan, "high": nan, "unit": ""}
        row |= {"p": nan, "n": 0, "sets": "", "verdict": NOT_TESTED, "chapter": claim.chapter}
        if claim.name in results:
            table, unit, rule, n_sets = results[claim.name]
            weakest = table.sort_values("low").iloc[0]  # of those with an effect
            names, p = table["population"].unique(), corrected.get(claim.name, nan)
            row |= {"effect": weakest["estimate"], "low": weakest["low"], "high": weakest["high"], "unit": unit, "p": p}
            row |= {
                "n": sum(len(one.seeds) for one in there.values() if one.title in names),
                "sets": f"{len(names)} of {n_sets}",
            }
            row |= {"verdict": rule(table, p) + (" so far" if len(names) < n_sets else "")}
        rows.append(row)
    return pd.DataFrame(rows)
