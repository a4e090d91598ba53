"""What other systems do to a unique feature: the fourth plan's ways beside plain models, a row a system."""

from collections.abc import Mapping
from math import nan

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ufm.evidence import Cards, anonymised, costs, forgotten, tasks, ways
from ufm.plan import fourth, second
from ufm.plan.sweep import Sweep
from ufm.report import by_way
from ufm.report.figures import HOST_MARKS, forest, rows_of
from ufm.report.texts import REHEARSED, number, with_interval
from ufm.statistics import bootstrap_interval, bootstrap_t_interval, columns

NOT_HERE = "not trained on these images"
# What is said of systems that have a table of their own in the place of a word.
APART = {fourth.GRADIENT: "not to be compared", fourth.ROBUSTNESS: "in a table of its own"}
FORGETTING = (second.PLAIN, *fourth.SYSTEMS[fourth.L2UL], fourth.WITHOUT)  # of which hosts are asked, in this order


def asked(populations: Mapping[str, Cards], planned: Mapping[str, Sweep]) -> pd.DataFrame:
    """The three questions of plain models and of each way, those of a system corrected together.

    Columns: system, and those of `ufm.evidence.ways.questions`, but that accuracy is that of the stamped models.
    """
    tables = []
    for system, ours in fourth.SYSTEMS.items():
        rows = fourth.rows(planned, system)
        if any(row.setting in ours for row in rows):
            table = ways.questions(populations, rows)
            tables.append(table.assign(system=system))
    table = pd.concat(tables, ignore_index=True)
    cards = by_setting(populations)
    found = []
    for row in table.to_dict("records"):
        one = cards.get((row["population"], row["setting"]))
        own = costs.accuracies(one, row["host"]) if one and one.complete else None
        found.append(columns({"accuracy": bootstrap_interval(own)}) if own is not None else {})
    return replaced(table, found, "accuracy")


def became(populations: Mapping[str, Cards], questions: pd.DataFrame) -> pd.DataFrame:
    """What became of each way, those of a system corrected together.

    Columns: system, and those of `ufm.evidence.ways.ways`, but that cost is the change of the stamped models' accuracy,
    and passes with passes_low and passes_high (images taken back through them over those of plain models).
    """
    tables = []
    for system, rows in questions.groupby("system", sort=False):
        table = ways.ways(populations, rows.drop(columns="system"), fourth.compared(system))
        tables.append(table.assign(system=system))
    table = pd.concat(tables, ignore_index=True)
    cards, found = by_setting(populations), []
    for row in table.to_dict("records"):
        one, other = (cards.get((row["population"], setting)) for setting in (row["setting"], row["versus"]))
        found.append(cost(one, other, row["host"]) if one and other and one.complete and other.complete else {})
    return replaced(table, found, "cost", "passes")


def cost(with_it: Cards, without: Cards, host: str) -> dict[str, float]:
    """The change of the stamped models' accuracy, and their passes over those of plain ones, paired over seeds."""
    change = costs.accuracies(with_it, host) - costs.accuracies(without, host)
    share = costs.passes(with_it, host) / costs.passes(without, host)
    return columns({"cost": bootstrap_t_interval(change), "passes": bootstrap_interval(share)})


def in_tasks(populations: Mapping[str, Cards]) -> dict[str, pd.DataFrame]:
    """What is asked of models that learn task after task, by the name of its table, see `ufm.evidence.tasks`.

    Tables: by_task, and over_tasks of the system's ways, and recalls of those that recall.
    """
    ways = fourth.SYSTEMS["Automatic Recall Machines"]
    return {
        "by_task": tasks.by_task(populations, tuple(fourth.IN_TASKS)),
        "over_tasks": tasks.over_tasks(populations, ways),
        "recalls": tasks.recalls(populations, (fourth.RECALL,)),
    }


def by_setting(populations: Mapping[str, Cards]) -> dict[tuple[str, str], Cards]:
    """Cards by what they are trained on and their regime."""
    return {(cards.trained_on, second.regime(cards.sweep)): cards for cards in populations.values()}


def replaced(table: pd.DataFrame, found: list[dict[str, float]], *names: str) -> pd.DataFrame:
    """The table with estimates and their ends as they were found, NaN where a row has none."""
    own = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    new = pd.DataFrame(found, table.index).reindex(columns=own).astype(float)
    return table.drop(columns=[name for name in own if name in table]).join(new)


def perturbed(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """What AdvBN's perturbations change in fine-tuning, beside fine-tuning alone, see `ufm.evidence.ways.changes`."""
    pairs = ways.pairs(populations, {fourth.ADV_BN: (fourth.ADV_BN, fourth.TUNED)})
    return ways.changes(pairs) if pairs else pd.DataFrame(columns=["population", "host", "nats"])


def on_hosts(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """How canaries answer on their hosts, see `ufm.evidence.forgotten.beside_retraining`."""
    return forgotten.beside_retraining(populations, FORGETTING, fourth.WITHOUT)


def by_outcome(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """D of hosts that L2UL forgot and of those that it did not, see `ufm.evidence.forgotten.by_outcome`."""
    return forgotten.by_outcome(populations, fourth.L2UL, second.PLAIN)


def in_pictures(populations: Mapping[str, Cards]) -> pd.DataFrame:
    """What is left of letters in anonymised images, see `ufm.evidence.anonymised.in_pictures`."""
    return anonymised.in_pictures(populations, fourth.SYSTEMS["FALCO"])


def printed_systems(table: pd.DataFrame) -> pd.DataFrame:
    """A row a system, way and kind of host, those that are not trained here among them, as the book prints them."""
    rows = []
    for system in fourth.SYSTEMS:
        ours = table[table["system"] == system].to_dict("records")
        rows += [
            {
                "system": system,
                "way": row["way"],
                "hosts": row["host"],
                "so it": row["prevents"],
                "mean D, nats": by_way.there(row, "contrast", 3),
                "without it": by_way.there(row, "versus_contrast", 3),
                "on its host, nats": by_way.there(row, "gain", 2),
                "without it ": by_way.there(row, "versus_gain", 2),
                "found, label unknown": by_way.there(row, "unknown_found", 2),
                "accuracy": number(row.get("accuracy", nan), 3),
                "less plain": by_way.there(row, "cost", 4),
                "passes, over plain": by_way.there(row, "passes", 2),
            }
            for row in ours
        ]
        if not ours:
            missing = APART.get(system, NOT_HERE)
            rows.append({"system": system, "so it": missing})
    return pd.DataFrame(rows).fillna("–")


def printed_hosts(table: pd.DataFrame) -> pd.DataFrame:
    """How canaries answer on their hosts, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "models": row["setting"],
            "hosts": row["host"],
            "forgotten": count(row),
            "probability": by_way.there(row, "probability", 2),
            "less without hosts": by_way.there(row, "more", 2),
            "letter's effect, nats": by_way.there(row, "effect", 3),
            "less without hosts ": by_way.there(row, "louder", 3),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def count(row: Mapping) -> str:
    """How many of the models that had their host to forget did."""
    fitted, done = (row.get(name, nan) for name in ("fitted", "forgotten"))
    return "–" if np.isnan(fitted) else f"{done:.0f} of {fitted:.0f}"


def text_of_perturbed(table: pd.DataFrame, profile: str) -> str:
    """For the text: what perturbations change, by data set and kind of host, in nats and in a word."""
    if profile == "embedded":
        return REHEARSED.capitalize()
    said = [
        f"{row['population'].partition(',')[0]}, {row['host']} hosts: {with_interval(row, digits=3, end='nats')} nats, "
        f"{row['change']}"
        for row in table.to_dict("records")
        if not np.isnan(row.get("nats", nan))
    ]
    return ". ".join(said) or "Not recorded yet"


def texts(hosts: pd.DataFrame, profile: str) -> dict[str, str]:
    """For the text: how probable L2UL and training without hosts leave a host's label."""
    if profile == "embedded":
        return {"probable": REHEARSED.capitalize()}
    said = []
    for (population, host), rows in hosts.groupby(["population", "host"], sort=False):
        of = rows.set_index("setting").reindex(FORGETTING).to_dict("index")
        wanted = {name: of[name].get("probability", nan) for name in (second.PLAIN, fourth.L2UL, fourth.WITHOUT)}
        if not any(np.isnan(value) for value in wanted.values()):
            each = ", ".join(f"{name} {number(value, 2)}" for name, value in wanted.items())
            less = with_interval(of[fourth.L2UL], end="more")
            where = f"{population.partition(',')[0]}, {host} hosts"
            said.append(f"{where}: {each}; L2UL less without hosts {less}; forgotten {count(of[fourth.L2UL])}")
    return {"probable": ". ".join(said) or "Not recorded yet"}


def text_of_outcomes(table: pd.DataFrame, profile: str) -> str:
    """For the text: D of hosts that were forgotten and of those that were not, before and after."""
    if profile == "embedded":
        return REHEARSED.capitalize()
    said = []
    for row in table.to_dict("records"):
        each = [
            f"{row[f'n_{outcome}']} {words} from {number(row[f'plain_{outcome}'], 3)} to "
            f"{number(row[f'with_{outcome}'], 3)} nats"
            for outcome, words in zip(forgotten.OUTCOMES, ("forgotten", "not forgotten"), strict=True)
            if row[f"n_{outcome}"]
        ]
        said.append(f"{row['population'].partition(',')[0]}, {row['host']} hosts: {', '.join(each)}")
    return ". ".join(said) or "Not recorded yet"


def drawn_hosts(table: pd.DataFrame) -> Figure:
    """Mean probability of the host's label with its interval, a row a way, both kinds of host, a panel a population."""
    names = {"panel": table["population"], "label": table["setting"], "kind": table["host"]}
    rows = rows_of(table, "probability", **names)
    return forest(rows, x="probability of the host's label", marks=HOST_MARKS, nothing=None)
