"""Tables of the evidence chapters, a row or a column a population."""

from collections.abc import Mapping
from dataclasses import asdict
from math import isnan

import numpy as np
import pandas as pd

from ufm.chapters.mlp import MEANS
from ufm.chapters.regularisers import EARLY_STOPPING, PLAIN
from ufm.evidence.detectors import DEFAULT, LABEL_KNOWN, PAPER, SHOWN
from ufm.plan.influence import BY_INFLUENCE
from ufm.plan.regularisers import TO_THE_END, WAYS
from ufm.report.tables import key, number, with_interval
from ufm.statistics import SUMMARY_COLUMNS, Interval, bootstrap_interval, correlation_interval, share_interval
from ufm.statistics.roc import share_interval_over_seeds

OF = "; "  # between a quantity and the population that it is of


def joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The populations' tables one below the other, with a first column `population`."""
    return pd.concat([table.assign(population=name) for name, table in tables.items()], ignore_index=True).pipe(
        lambda table: table[["population", *(column for column in table if column != "population")]]
    )


def p_text(p: float) -> str:
    """A p-value as text, such as "0.031" or "< 0.001"."""
    return "–" if isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def summary(quantities: Mapping[str, Mapping[str, Mapping[str, float]]]) -> pd.DataFrame:
    """A summary table of quantities by population: columns quantity, estimate, low, high, n."""
    rows = [
        {"quantity": f"{quantity}{OF}{population}"} | {name: row[name] for name in SUMMARY_COLUMNS[1:]}
        for quantity, of in quantities.items()
        for population, row in of.items()
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def interval_of(row: Mapping[str, float], name: str) -> dict[str, float]:
    """The columns name, name_low and name_high as those of an interval, with n."""
    return {"estimate": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"], "n": row["n"]}


def ranges(table: pd.DataFrame, *, digits: int = 2) -> dict[str, str]:
    """For the text: each quantity's estimates over populations, "0.45 to 0.52", or one number where all round alike.

    Over those that have a number; "cannot be decided" where none has.
    """
    found: dict[str, list[float]] = {}
    for row in table.to_dict("records"):
        values = found.setdefault(row["quantity"].split(OF)[0], [])
        if not isnan(row["estimate"]):
            values.append(row["estimate"])
    return {
        key(quantity): " to ".join(dict.fromkeys(number(value, digits) for value in (min(values), max(values))))
        if values
        else "cannot be decided"
        for quantity, values in found.items()
    }


def wide(rows: Mapping[str, pd.DataFrame], by: str, *, digits: int = 2, end: str = "") -> pd.DataFrame:
    """A row a value of the column `by`, a column a population, estimates with intervals."""
    texts = {
        population: {row[by]: with_interval(row, digits=digits, end=end) for row in table.to_dict("records")}
        for population, table in rows.items()
    }
    names = dict.fromkeys(name for of in texts.values() for name in of)
    table = {by: list(names)} | {population: [of.get(name, "") for name in names] for population, of in texts.items()}
    return pd.DataFrame(table)


def on_all_images(rates: pd.DataFrame) -> pd.DataFrame:
    """False-positive rates on all images, with a column `quantity`: the rule and its inputs."""
    rows = rates[rates["n_images"] == rates["n_images"].max()]
    return rows.assign(quantity=rows["rule"] + ", " + rows["inputs"] + " inputs")


def null_summary(
    rates: Mapping[str, pd.DataFrame], siblings: Mapping[str, pd.DataFrame], checks: Mapping[str, Interval]
) -> pd.DataFrame:
    """What the Controls chapter found, as a summary table."""
    quantities: dict[str, dict] = {}
    for population, table in rates.items():
        for row in on_all_images(table).to_dict("records"):
            quantities.setdefault(row["quantity"], {})[population] = row
    for population, table in siblings.items():
        for row in table.to_dict("records"):
            quantities.setdefault(f"correlation of {row['pair']}", {})[population] = interval_of(row, "correlation")
    quantities["labels of hosts"] = {population: asdict(check) for population, check in checks.items()}
    return summary(quantities)


def rules(rates: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Published rules on all images, a column a population."""
    return wide({name: on_all_images(table) for name, table in rates.items()}, "quantity")


def lit_pixels(lit: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """How constant the pixels under the letter are, a row a population."""
    rows = [
        {
            "population": population,
            "pixels": share.size,
            "black in every image": int((share == 0).sum()),
            "black in 99.9 % of them": int((share <= 0.001).sum()),
            "share of images in which the most varied pixel is lit": f"{share.max():.4f}",
        }
        for population, share in lit.items()
    ]
    return pd.DataFrame(rows)


def small_p_values(p_values: Mapping[str, pd.DataFrame], *, level: float = 0.05) -> pd.DataFrame:
    """Share of innocent models with a permutation p of at most the level, a column a population."""
    tables = {}
    for population, table in p_values.items():
        rows = [
            {"statistic": statistic} | asdict(share_interval_over_seeds(ones["p"] <= level, ones["seed"]))
            for statistic, ones in table.groupby("statistic", sort=False)
        ]
        tables[population] = pd.DataFrame(rows)
    return wide(tables, "statistic")


def labels(checks: Mapping[str, Interval]) -> pd.DataFrame:
    """The check of labels, a row a population."""
    rows = [{"population": name, "area": with_interval(asdict(check))} for name, check in checks.items()]
    return pd.DataFrame(rows)


def tried(areas: pd.DataFrame) -> pd.DataFrame:
    """Every detector on one population, best first."""
    rows = [
        {
            "statistic": row["detector"],
            "knows also": row["knows"] or "–",
            "area, learnt": with_interval(row),
            "all": with_interval(row, end="all"),
            "found at 5 %": with_interval(row, end="found"),
        }
        for row in areas.to_dict("records")
    ]
    return pd.DataFrame(rows)


def headline(areas: Mapping[str, pd.DataFrame], *, end: str = "") -> pd.DataFrame:
    """Areas of the detectors that are shown, a column a population."""
    some = [one.name for one in SHOWN]
    order = {name: place for place, name in enumerate(some)}
    ours = {
        population: table[table["detector"].isin(some)].sort_values("detector", key=lambda one: one.map(order))
        for population, table in areas.items()
    }
    return wide(ours, "detector", end=end)


def every_area(on_hard: Mapping[str, pd.DataFrame], on_random: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Areas of the detectors that are shown, learnt canaries, all, and those on random hosts, a column a population."""
    kinds = {"hard, learnt": headline(on_hard), "hard, all": headline(on_hard, end="all")}
    kinds["random, all"] = headline(on_random, end="all")
    tables = [table.assign(canaries=kind) for kind, table in kinds.items()]
    return pd.concat(tables, ignore_index=True).pipe(
        lambda table: table[["canaries", *(column for column in table if column != "canaries")]]
    )


def words(tables: Mapping[str, pd.DataFrame], column: str) -> str:
    """A column of counted words, such as "cannot be decided 10", added up over populations and rows."""
    counts: dict[str, int] = {}
    for table in tables.values():
        for counted in table[column]:
            for part in counted.split(", "):
                word, count = part.rsplit(" ", 1)
                counts[word] = counts.get(word, 0) + int(count)
    return ", ".join(f"{word} {count}" for word, count in counts.items())


def guessed(tables: Mapping[str, pd.DataFrame], models: str, *, images: str = "black") -> str:
    """How often the guessed label is right on images of a kind, over populations, "0.29 to 0.73"."""
    rows = {
        population: table[(table["images"] == images) & (table["models"] == models)].iloc[0].to_dict()
        for population, table in tables.items()
    }
    return ranges(summary({"guessed": rows}))["guessed"]


IMAGES = {"ood": "OOD images", "dim": "at 0.3 of their contrast", "black": "black image", "test": "test images"}


def guesses(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How often the guessed label is right, a row a kind of images and of models, a column a population."""
    named = {
        population: table.assign(guess=table["images"].map(IMAGES) + ", " + table["models"])
        for population, table in tables.items()
    }
    return wide(named, "guess")


def by_row(rows: Mapping[str, Mapping[str, float]], name: str, **more: str) -> pd.DataFrame:
    """A row a population: an estimate with its interval under `name`, and other columns `title=column` as they are."""
    return pd.DataFrame(
        [
            {"population": population, name: with_interval(row)}
            | {title.replace("_", " "): cell(row[column]) for title, column in more.items()}
            for population, row in rows.items()
        ]
    )


def cell(value: float) -> str:
    """A number of a table; a dash where there is none."""
    return "–" if isnan(value) else str(value) if isinstance(value, int) else number(value, 2)


def contrasts(table: pd.DataFrame) -> pd.DataFrame:
    """C1's cells as the book prints them."""
    rows = [
        {
            "population": row["population"],
            "hosts": row["host"],
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=3),
            "p": p_text(row["p_holm"]),
            "epoch 10": with_interval(row, digits=3, end="early"),
            "detectable": number(row["detectable"], 3),
            "seeds for half": row["seeds_for_half"],
            "verdict": row["in_words"],
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def exploratory(cells: pd.DataFrame, rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Cells that decide nothing, beside the other kinds of host of their population; rows: by host, by title."""
    learnt = {
        (title.removesuffix(f", {host} hosts"), host): asdict(share_interval(ones["learnt"]))
        for title, table in rows.items()
        for host, ones in table.groupby("host", sort=False)
    }
    shown = [
        {
            "population": row["population"],
            "hosts": row["host"],
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=3),
            "epoch 10": with_interval(row, digits=3, end="early"),
            "learnt": with_interval(learnt[row["population"], row["host"]]),
        }
        for row in cells.to_dict("records")
    ]
    return pd.DataFrame(shown)


def by_way(cells: pd.DataFrame, name: str = "way", *, digits: int = 3) -> pd.DataFrame:
    """Cells of several settings as the book prints them; `name` heads the column of settings.

    Cells that decide nothing have no verdict, and then no p either.
    """
    rows = [
        {
            "population": row["population"],
            name: row["setting"],
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=digits),
            **({"p": p_text(row["p_holm"])} if "verdict" in row else {}),
            "epoch 10": with_interval(row, digits=digits, end="early"),
            **({"verdict": row["in_words"]} if "verdict" in row else {}),
        }
        for row in cells.to_dict("records")
    ]
    return pd.DataFrame(rows)


def changes(differences: pd.DataFrame) -> pd.DataFrame:
    """What each way changes, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["setting"],
            "against": row["versus"],
            "pairs": row["n"],
            "change of D, nats": with_interval(row, digits=3),
            "p": p_text(row["p_holm"]),
            "reading": row["reading"],
            "change of accuracy": with_interval(row, digits=3, end="accuracy"),
        }
        for row in differences.to_dict("records")
    ]
    return pd.DataFrame(rows)


def quality(table: pd.DataFrame, name: str = "way") -> pd.DataFrame:
    """`ufm.evidence.performance.quality` as the book prints it; `name` heads the column of settings."""
    rows = [
        {
            "population": row["population"],
            name: row["setting"],
            "accuracy": with_interval(row, digits=3, end="accuracy"),
            "best epoch": number(row["epoch"], 1),
            "learnt": with_interval(row, end="learnt"),
            "detector's area": with_interval(row, end="area"),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def medical(cells: pd.DataFrame) -> pd.DataFrame:
    """C6's cells as the book prints them: by network and feature, and by kind of host."""
    return by_way(cells, "network, feature").assign(hosts=cells["host"])


def moved(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.cells.moved` as the book prints it, a column a setting."""
    return wide(dict(iter(table.groupby("setting", sort=False))), "place")


def sensitivity(averages: pd.DataFrame) -> pd.DataFrame:
    """`ufm.chapters.sensitivity.means` as the book prints them."""
    rows = [
        {
            "population": row["population"],
            "varied": row["what"],
            "setting": row["setting"],
            "seeds": row["n"],
            "mean D, nats": with_interval(row, digits=3, end="contrast"),
            "change, nats": "–" if isnan(row["change"]) else with_interval(row, digits=3, end="change"),
        }
        for row in averages.to_dict("records")
    ]
    return pd.DataFrame(rows)


def sensitivity_summary(averages: pd.DataFrame) -> pd.DataFrame:
    """What the Sensitivity chapter found, as a summary table: the contrast by what is varied, of every setting."""
    quantities: dict[str, dict] = {}
    for row in averages.to_dict("records"):
        name = row["setting"] if row["what"] != "letter" else f"letter {row['setting']}"
        quantities.setdefault(f"contrast, {row['what']}", {})[f"{row['population']}, {name}"] = interval_of(
            row, "contrast"
        )
    return summary(quantities)


def published(scores: Mapping[str, pd.DataFrame], inputs: str) -> pd.DataFrame:
    """`ufm.chapters.mlp.scores` of one kind of scoring inputs as the book prints them."""
    columns = {
        "M, canaries": "canaries",
        "M, controls": "controls",
        "canary less control": "difference",
        "M > 0, canaries": "positive",
        "M > 0, controls": "positive_controls",
        "canary above control": "above",
    }
    rows = [
        {"population": population, "hosts": row["host"], "seeds": row["n"]}
        | {title: with_interval(row, digits=3 if end in MEANS else 2, end=end) for title, end in columns.items()}
        for population, table in scores.items()
        for row in table[table["inputs"] == inputs].to_dict("records")
    ]
    return pd.DataFrame(rows)


def accuracies(models: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`ufm.chapters.mlp.models` as the book prints them."""
    rows = [
        {
            "population": population,
            "models": f"{row['role']}, {row['host']} host" if row["host"] else row["role"],
            "seeds": row["n"],
            "accuracy": with_interval(row, digits=4, end="accuracy"),
            "best epoch": with_interval(row, digits=1, end="epoch"),
        }
        for population, table in models.items()
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def mlp_summary(
    scores: Mapping[str, pd.DataFrame], cells: pd.DataFrame, distances: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> pd.DataFrame:
    """What the MLPs chapter found, as a summary table by population: scores with normalised inputs."""
    quantities: dict[str, dict] = {}
    of_controls = {"M, controls": "controls", "M > 0, controls": "positive_controls"}
    of_canaries = {
        "M, canaries": "canaries",
        "canary less control": "difference",
        "M > 0, canaries": "positive",
        "above its control": "above",
    }
    for population, table in scores.items():
        for row in table[table["inputs"] == "normalised"].to_dict("records"):
            names = of_controls | {f"{name} on {row['host']} hosts": column for name, column in of_canaries.items()}
            for name, column in names.items():
                quantities.setdefault(name, {})[population] = interval_of(row, column)
            correlation = f"correlation on {row['host']} hosts"
            quantities.setdefault(correlation, {})[population] = interval_of(row, "correlation")
    for row in cells.to_dict("records"):
        quantities.setdefault(f"contrast on {row['host']} hosts", {})[row["population"]] = row
    for population, distance in distances.items():
        for name, row in distance.items():
            quantities.setdefault(f"{name}, distance", {})[population] = row
    return summary(quantities)


def components(table: pd.DataFrame) -> pd.DataFrame:
    """Variance components as the book prints them."""
    what = {"seed": "seed, alike for all hosts", "host": "host", "rest": "seed together with the host, and noise"}
    rows = [
        {"varies with": what[row["component"]], "standard deviation, nats": with_interval(row, digits=3)}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def seeds_summary(spread: Mapping[str, float], table: pd.DataFrame, null: np.ndarray) -> pd.DataFrame:
    """What the Seeds chapter found, as a summary table."""
    nothing = {"low": np.nan, "high": np.nan}
    rows = [{"quantity": "spread over seeds"} | {name: spread[name] for name in SUMMARY_COLUMNS[1:]}]
    rows += [
        {"quantity": f"sd, {row['component']}"} | {name: row[name] for name in SUMMARY_COLUMNS[1:]}
        for row in table.to_dict("records")
    ]
    noise = float(null.std(ddof=1)) if len(null) > 1 else np.nan
    rows += [{"quantity": "sd, noise", "estimate": noise, "n": len(null)} | nothing]
    mean = asdict(bootstrap_interval(null)) if len(null) > 1 else {"estimate": np.nan, "n": len(null)} | nothing
    return pd.DataFrame([*rows, {"quantity": "mean, noise"} | mean])[list(SUMMARY_COLUMNS)]


def settings_summary(
    cells: pd.DataFrame, learnt: Mapping[str, Mapping[str, float]], moved: pd.DataFrame | None = None
) -> pd.DataFrame:
    """What a chapter of several settings found, as a summary table, by setting."""
    quantities: dict[str, dict] = {}
    for row in cells.to_dict("records"):
        title = f"{row['population']}, {row['setting']}"
        quantities.setdefault("contrast", {})[row["setting"]] = row
        quantities.setdefault("contrast at epoch 10", {})[row["setting"]] = interval_of(row, "early")
        quantities.setdefault("learnt", {})[row["setting"]] = learnt[title]
    for row in [] if moved is None else moved.to_dict("records"):
        quantities.setdefault(f"contrast, {row['place']}", {})[row["setting"]] = row
    return summary(quantities)


def on_hosts(cells: pd.DataFrame, host: str) -> str:
    """For the text: the mean contrasts of the cells of a kind of host, with intervals."""
    ours = cells[cells["host"] == host]
    return "; ".join(with_interval(row, digits=3) for row in ours.to_dict("records")) or "not recorded"


def listed(quality: pd.DataFrame, name: str) -> str:
    """For the text: a column of `ufm.evidence.performance.quality` with its intervals, a population after the other."""
    return "; ".join(with_interval(row, end=name) for row in quality.to_dict("records"))


def counts_learnt(quality: pd.DataFrame) -> str:
    """For the text: how many canaries learnt the feature, a population after the other."""
    return ", ".join(str(round(row["learnt"] * row["n"])) for row in quality.to_dict("records"))


def influence(table: pd.DataFrame) -> pd.DataFrame:
    """C4's groups as the book prints them."""
    rows = [
        {
            "group": row["setting"],
            "seeds": row["n"],
            "without": with_interval(row, end="without"),
            "with the letter": with_interval(row, end="with_letter"),
            "with the placebo": with_interval(row, end="with_placebo"),
            "rise by the letter": with_interval(row, digits=3),
            "letter less placebo": with_interval(row, digits=3, end="beyond_placebo"),
            "p": p_text(row["p_holm"]),
            "verdict": row["in_words"],
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def influence_texts(table: pd.DataFrame) -> dict[str, str]:
    """`ranges` of the summary, and each group's rise with its interval and mean rank shares: `rise_random_hosts`."""
    changes = {"rise": "", "beyond_placebo": "beyond_placebo"}  # and the columns' name
    means = ("without", "with_letter", "with_placebo")
    found = {key(f"{name} {group}"): "not recorded" for group in BY_INFLUENCE for name in (*changes, *means)}
    for row in table.to_dict("records"):
        group = row["setting"]
        found |= {key(f"{name} {group}"): with_interval(row, digits=3, end=end) for name, end in changes.items()}
        found |= {key(f"{name} {group}"): number(row[name], 3) for name in means}
    return found | ranges(influence_summary(table))


def influence_summary(table: pd.DataFrame) -> pd.DataFrame:
    """What the Influence chapter found, as a summary table, by group."""
    quantities: dict[str, dict] = {"rise": {}}
    for row in table.to_dict("records"):
        quantities["rise"][row["setting"]] = row
        for name in ("without", "with_letter", "with_placebo", "beyond_placebo", "contrast"):
            quantities.setdefault(name.replace("_", " "), {})[row["setting"]] = interval_of(row, name)
    return summary(quantities)


def regularisers_summary(costs: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """What the Regularisers chapter found, as a summary table."""
    quantities: dict[str, dict] = {}
    for row in costs.to_dict("records"):
        for name in ("contrast", "early", "accuracy", "learnt", "area"):
            quantities.setdefault(f"{name}, {row['setting']}", {})[row["population"]] = interval_of(row, name)
    for row in differences.to_dict("records"):
        quantities.setdefault(f"change, {row['setting']}", {})[row["population"]] = row
    return summary(quantities)


def regularisers_texts(costs: pd.DataFrame, differences: pd.DataFrame) -> dict[str, str]:
    """`ranges` of the summary, with a text for every way, recorded or not, and for the populations' own models.

    The last are called `contrast_of_their_own` and so on, whether they stop early or are trained to the end.
    """
    names, found = ("contrast", "early", "area"), ranges(regularisers_summary(costs, differences), digits=3)
    found |= accuracy_changes(differences)
    texts = {key(f"{name}, {way}"): "not recorded" for way in (*WAYS, TO_THE_END) for name in names}
    own = EARLY_STOPPING if key(f"contrast, {EARLY_STOPPING}") in found else PLAIN
    return texts | {f"{name}_of_their_own": found[key(f"{name}, {own}")] for name in names} | found


def accuracy_changes(differences: pd.DataFrame) -> dict[str, str]:
    """For the text: how the accuracy changes with ways that reduce or raise the contrast, and with early stopping."""
    groups = {f"accuracy_{reads}": differences[differences["reading"] == reads] for reads in ("reduces", "raises")}
    groups["accuracy_early_stopping"] = differences[differences["setting"] == EARLY_STOPPING]
    texts = {}
    for name, rows in groups.items():
        ends = [number(value, 3) for value in (rows["accuracy"].min(), rows["accuracy"].max())]
        texts[name] = " to ".join(dict.fromkeys(ends)) if len(rows) else "not recorded"
    return texts


def claims(table: pd.DataFrame) -> pd.DataFrame:
    """The verdicts as the book and the README print them."""
    rows = [
        {
            "": row["claim"],
            "claim": row["statement"],
            "verdict": row["verdict"],
            "holds in": row["holds_in"] or "–",
            "effect where it is weakest": effect(row),
            "p": p_text(row["p"]),
            "seeds": row["n"] or "–",
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """What the effect of each claim is and which cells came out how."""
    rows = [
        {"": row["claim"], "the effect is": row["about"], "what came out": row["where"] or row["verdict"]}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def effect(row: Mapping[str, float]) -> str:
    """A claim's effect as text, with its unit."""
    if isnan(row["effect"]):
        return "–"
    text = with_interval(row | {"estimate": row["effect"]}, digits=3)
    return f"area {text}" if row["unit"] == "area" else f"{text} {row['unit']}"


def thresholds(table: pd.DataFrame) -> pd.DataFrame:
    """`ufm.evidence.performance.thresholds` as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "innocent, flagged": with_interval(row),
            "learnt canaries, found": cell(row["found"]),
            "of": row["n_learnt"],
            "innocent, set on the first": with_interval(row, end="carried"),
            "found, set on the first": cell(row["carried_found"]),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def shares(hard: Mapping[str, Mapping[str, float]], random: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Shares of learnt canaries, a row a population."""
    rows = [
        {
            "population": population,
            "seeds": row["n"],
            "hard hosts": with_interval(row),
            "random hosts": with_interval(random[population]),
        }
        for population, row in hard.items()
    ]
    return pd.DataFrame(rows)


def outscoring(areas: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How often a learnt canary outscores both of its siblings, a column a population."""
    some = [one.name for one in SHOWN]
    table = {"detector": some}
    for population, rows in areas.items():
        share = rows.set_index("detector")["outscores"]
        table[population] = [cell(share[name]) for name in some]
    return pd.DataFrame(table)


def decided(sets: pd.DataFrame) -> pd.DataFrame:
    """C2's sets as the book prints them."""
    rows = [
        {
            "population": row["population"],
            "seeds": row["n_seeds"],
            "learnt canaries": row["n"],
            "area": with_interval(row),
            "p": p_text(row["p"]),
        }
        for row in sets.to_dict("records")
    ]
    return pd.DataFrame(rows)


def detection_summary(
    areas: Mapping[str, pd.DataFrame],
    learnt: Mapping[str, Mapping[str, float]],
    thresholds: pd.DataFrame,
) -> pd.DataFrame:
    """What the Detection chapter found, as a summary table."""

    def of(name: str) -> dict[str, dict[str, float]]:
        return {population: table.set_index("detector").loc[name].to_dict() for population, table in areas.items()}

    rates = {row["population"]: row for row in thresholds.to_dict("records")}
    found = {
        population: {"estimate": row["found"], "low": np.nan, "high": np.nan, "n": row["n_learnt"]}
        for population, row in rates.items()
    }
    quantities = {
        "default detector": of(DEFAULT.name),
        "paper's score": of(PAPER.name),
        "label known": of(LABEL_KNOWN.name),
    }
    return summary(quantities | {"learnt": learnt, "false-positive rate": rates, "found": found})


def hosts_summary(cells: pd.DataFrame, rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What the Hosts chapter found, as a summary table."""
    quantities: dict[str, dict] = {}
    for cell_row in cells.to_dict("records"):
        quantities.setdefault(f"contrast, {cell_row['host']} hosts", {})[cell_row["population"]] = cell_row
    for population, table in rows.items():
        for host, ones in table.groupby("host", sort=False):
            share = asdict(share_interval(ones["learnt"]))
            quantities.setdefault(f"learnt, {host} hosts", {})[population] = share
        missed = table.loc[(table["host"] == "hard") & ~table["learnt"], "contrast"]
        if len(missed) > 1:
            mean = asdict(bootstrap_interval(missed))
            quantities.setdefault("contrast, hard hosts, not learnt", {})[population] = mean
        known = table.dropna(subset="clean_loss")
        if len(known) > 2:
            rank = correlation_interval(known["clean_loss"], known["contrast"], known["seed"], ranks=True)
            quantities.setdefault("rank correlation with loss", {})[population] = asdict(rank)
    return summary(quantities)


def claims_summary(table: pd.DataFrame) -> pd.DataFrame:
    """The claims' effects as a summary table."""
    named = table.rename(columns={"claim": "quantity", "effect": "estimate"})
    return named[list(SUMMARY_COLUMNS)]


def claim_texts(table: pd.DataFrame) -> dict[str, str]:
    """The printed verdicts cell by cell for other pages, by names such as "C1_verdict"."""
    names = {"verdict": "verdict", "holds in": "in", "effect where it is weakest": "effect", "p": "p", "seeds": "seeds"}
    return {
        f"{row[''].replace(', ', '_')}_{short}": str(row[column])
        for row in claims(table).to_dict("records")
        for column, short in names.items()
    }
