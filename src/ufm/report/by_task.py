"""Models that learn their classes task after task, as the book prints and draws them."""

from collections.abc import Mapping
from math import nan

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence.cards import Cards
from ufm.evidence.tasks import n_tasks, own_tasks
from ufm.plan.thresholds import SECOND
from ufm.report.by_way import there
from ufm.report.figures import LINES, WIDTH, closed, panels, show, waiting
from ufm.report.texts import by_word, number, p_text

FIRST = 3  # seeds of each kind of host of which a recalled image is shown


def printed_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """Whether D is forgotten over tasks, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "way": row["setting"],
            "hosts": row["host"],
            "with later tasks": row["n"],
            "D after its task, nats": there(row, "own", 3),
            "p ": p_text(row["own_p"]) if "own_p" in row else "–",
            "D after the last": there(row, "last", 3),
            "less": there(row, "change", 3),
            "p": p_text(row["p_holm"]) if "change" in row else "–",
            "it": row["course"],
            "host's label": there(row, "fits", 2),
            "after the last": there(row, "fits_last", 2),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_recalls(table: pd.DataFrame) -> pd.DataFrame:
    """Whether it appears in what is recalled, as the book prints it."""
    rows = [
        {
            "population": row["population"],
            "hosts": row["host"],
            "with later tasks": row["n"],
            "letter, canaries": there(row, "letter", 3),
            "letter, controls": there(row, "control", 3),
            "R": there(row, "recalled", 3),
            "p": p_text(row["p_holm"]) if "recalled" in row else "–",
            "it": row["word"],
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def texts(over_tasks: pd.DataFrame, recalls: pd.DataFrame) -> dict[str, str]:
    """For the text: which words are said of which ways and hosts, and of which hosts' recalled images.

    learnt: of which D is not shown to be above zero after the host's task, so that there is nothing to forget.
    """
    if over_tasks.empty or recalls.empty:
        return dict.fromkeys(("course", "learnt", "recalled"), "Not trained on these images")
    names = over_tasks["setting"] + ", " + over_tasks["host"] + " hosts"
    nothing = [not (row.get("own", nan) > 0 and row["own_p"] < SECOND.level) for row in over_tasks.to_dict("records")]
    return {
        "course": by_word(over_tasks["course"], names),
        "learnt": "; ".join(names[nothing]) or "none of them",
        "recalled": by_word(recalls["word"], recalls["host"] + " hosts"),
    }


def text_of_course(by_task: pd.DataFrame, ways: pd.DataFrame) -> str:
    """For the text: D with all classes at once, right after the host's own task and after the last task, all hosts."""
    said = []
    own = by_task[by_task["later"] == 0].set_index(["setting", "host"])["contrast"]
    for row in ways.to_dict("records"):
        if (row["way"], row["host"]) in own.index and not pd.isna(row.get("versus_contrast")):
            three = row["versus_contrast"], own[row["way"], row["host"]], row["contrast"]
            said.append(f"{row['way']}, {row['host']} hosts: {', '.join(number(one, 3) for one in three)}")
    return "; ".join(said) or "not recorded"


def drawn_tasks(table: pd.DataFrame) -> Figure:
    """Mean D with its interval by how many tasks were learnt after the host's, a line a way, a panel a kind of host."""
    if table.empty:
        return waiting()
    hosts, settings = (list(dict.fromkeys(table[name])) for name in ("host", "setting"))
    figure, axes = panels([f"{host} hosts" for host in hosts], height=2.8, share="row")
    for axis, host in zip(axes, hosts, strict=True):
        for place, (setting, (colour, line)) in enumerate(zip(settings, LINES, strict=False)):
            rows = table[(table["host"] == host) & (table["setting"] == setting)]
            x = rows["later"] + 0.08 * (place - 1)  # so that intervals stand side by side
            axis.plot(x, rows["contrast"], color=colour, linestyle=line, marker="o", markersize=3, label=setting)
            axis.vlines(x, rows["contrast_low"], rows["contrast_high"], color=colour, linewidth=0.8)
        axis.axhline(0, color="0.4", linewidth=0.8)
        axis.set(xlabel="tasks after the host's own", ylabel="mean D (nats)")
        axis.set_xticks(range(int(table["later"].max()) + 1))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def drawn_recalled(populations: Mapping[str, Cards]) -> Figure:
    """The first images of the last batch of the task after the host's, as canary and placebo model recalled them.

    Of the first seeds with hosts that have a later task, two columns of them a kind of host; below, what the letter's
    place shows in the canary less in the placebo model, mean over standardised patches, white where the canary has
    more.
    """
    recalling = [cards for cards in populations.values() if "recalled_image" in cards.arrays]
    if not recalling:
        return waiting()
    cards = recalling[0]
    shown = []
    for host in cards.protocol.hosts:
        own = own_tasks(cards, host)
        shown += [(host, seed, own[seed]) for seed in np.flatnonzero(own < n_tasks(cards) - 1)[:FIRST]]
    figure, axes = plt.subplots(3, len(shown), figsize=(WIDTH, 2.6), squeeze=False, layout="constrained")
    for column, (host, seed, task) in enumerate(shown):
        models = [cards.model(role, host) for role in ("canary", "placebo")]
        patches = cards.arrays["recalled_patch"][seed, models, task + 1]
        difference = patches[0] - patches[1]
        rows = [*cards.arrays["recalled_image"][seed, models].mean(1), 0.5 + difference / 2]
        for axis, pixels in zip(axes[:, column], rows, strict=True):
            show(axis, np.clip(pixels, 0, 1)[None])
        axes[0, column].set_title(f"{host}\n{cards.seeds[seed]}", fontsize="x-small")
    for axis, name in zip(axes[:, 0], ("canary", "placebo", "difference"), strict=True):
        axis.text(-0.2, 0.5, name, transform=axis.transAxes, rotation=90, ha="right", va="center", fontsize="x-small")
    return closed(figure)
