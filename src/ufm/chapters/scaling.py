"""How memorisation scales: D, what an auditor tells and accuracy along its axes, with lines (book/scaling-plan.md)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ufm.plan.pretraining import SCRATCH, WAYS
from ufm.plan.scaling import axes
from ufm.report.by_population import Quantities, interval_of
from ufm.report.figures import HOST_COLOURS, HOST_MARKERS, closed, panels, waiting
from ufm.report.texts import by_word, in_short, key, number, p_text, with_interval

NONE = "not recorded"
SHORT = 3  # letters of a value that has room beside others


def called(value: float) -> str:
    """A value of an axis as the book prints it, such as "0.25" or "30 000"."""
    return f"{value:,.0f}".replace(",", " ") if value >= 1_000 else f"{value:g}"


def drawn_contrasts(points: pd.DataFrame, lines: pd.DataFrame, further: pd.DataFrame) -> Figure:
    """Mean D at each value with its interval and the fitted line, a panel an axis.

    Beyond the largest value, where anything is said of it, hollow and with its prediction interval.
    """
    return drawn_along(points, "nats", "mean contrast D (nats)", lines=lines, further=further, nothing=0.0)


def drawn_areas(points: pd.DataFrame) -> Figure:
    """Area of an auditor who does not know the label at each value, with its interval, a panel an axis."""
    return drawn_along(points, "unknown", "area, label unknown", nothing=0.5)


def drawn_accuracies(points: pd.DataFrame) -> Figure:
    """Accuracy of the controls at each value with its interval, a panel an axis; it is the same for all hosts."""
    return drawn_along(
        points[points["host"] == points["host"].iloc[0]] if len(points) else points, "accuracy", "accuracy"
    )


def drawn_along(
    points: pd.DataFrame,
    name: str,
    y: str,
    *,
    lines: pd.DataFrame | None = None,
    further: pd.DataFrame | None = None,
    nothing: float | None = None,
) -> Figure:
    """A column of points with its ends against the value of the axis, a panel an axis, a colour a kind of host."""
    shown = points.dropna(subset=[name])
    if shown.empty:
        return waiting()
    titles = list(dict.fromkeys(points["axis"]))
    hosts = list(dict.fromkeys(shown["host"]))
    figure, drawn = panels(titles, height=2.1)
    for axis, title in zip(drawn, titles, strict=True):
        every, ours = points[points["axis"] == title], shown[shown["axis"] == title]
        beyond = further[(further["axis"] == title) & further["nats"].notna()] if further is not None else ours.head(0)
        beside = 0.01 * (every["place"].max() - every["place"].min())
        for number_of, host in enumerate(hosts):
            apart = beside * (2 * number_of - (len(hosts) - 1))
            rows, ends = ours[ours["host"] == host], beyond[beyond["host"] == host]
            placed(axis, rows, name, host, apart)
            placed(axis, ends, name, host, apart, filled=False)
            fitted = lines[(lines["axis"] == title) & (lines["host"] == host)] if lines is not None else ours.head(0)
            if "level" in fitted and fitted["level"].notna().any():
                row = fitted.iloc[0]
                x = np.array([rows["place"].min(), max([rows["place"].max(), *ends["place"]])])
                axis.plot(x, row["level"] + row["nats"] * x, color=HOST_COLOURS[host], linewidth=1)
        if nothing is not None:
            axis.axhline(nothing, color="0.4", linewidth=0.8, linestyle=":")
        places = pd.concat([every, beyond]).drop_duplicates("place")
        labels = [called(value) for value in places["value"]]
        axis.set_xticks(places["place"], labels)
        if max(map(len, labels)) > SHORT:
            axis.tick_params(axis="x", rotation=45, rotation_mode="xtick")
        axis.set_ylabel(y)
    if len(hosts) > 1:
        handles = [
            drawn[0].plot([], [], color=HOST_COLOURS[host], marker=HOST_MARKERS[host], markersize=5)[0]
            for host in hosts
        ]
        names = [f"{host} hosts" for host in hosts]
        figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def placed(axis: Axes, rows: pd.DataFrame, name: str, host: str, apart: float, *, filled: bool = True) -> None:
    """Estimates of one kind of host with their ends, at their place and a little beside it."""
    colour = HOST_COLOURS[host]
    x = rows["place"] + apart
    axis.vlines(x, rows[f"{name}_low"], rows[f"{name}_high"], color=colour, linewidth=1.2)
    face = colour if filled else "white"
    axis.scatter(x, rows[name], 24, facecolors=face, edgecolors=colour, marker=HOST_MARKERS[host], zorder=2)


def named(table: pd.DataFrame) -> pd.Series:
    """Axis and kind of host of each row."""
    return table["axis"] + " (" + table["host"] + " hosts)" if len(table) else pd.Series(dtype=object)


def texts(lines: pd.DataFrame, further: pd.DataFrame) -> dict[str, str]:
    """For the text: what each word is said of, slopes such as `slope_width_hard`, and what would be beyond."""
    found = {name: by_word(lines[name], named(lines)) or NONE for name in ("change", "reading", "verdict")}
    found |= {f"change_{host}": NONE for host in HOST_COLOURS}
    for host, rows in lines.groupby("host"):
        found[f"change_{host}"] = in_short(rows["change"], rows["axis"])
    found |= {key(f"slope {axis.name} {host}"): NONE for axis in axes("paper") for host in HOST_COLOURS}
    for row in lines.to_dict("records"):
        slope = said(row, "nats", 3)
        found[key(f"slope {row['axis']} {row['host']}")] = f"{slope} nats a {row['step']}" if slope != "–" else NONE
    there = further.dropna(subset=["nats"]).to_dict("records")
    found["beyond"] = "; ".join(f"{beyond(row)}: {with_interval(row, digits=3, end='nats')} nats" for row in there)
    return found | {"beyond": found["beyond"] or "nothing yet"}


def beyond(row: Mapping) -> str:
    """A value that nothing was trained at, in words."""
    return f"{row['axis']} {called(row['value'])} ({row['host']} hosts)"


def said(row: Mapping, end: str, digits: int) -> str:
    """A number of a row with its interval; a dash where there is none."""
    return with_interval(row, digits=digits, end=end) if not pd.isna(row.get(end)) else "–"


def seeds_of(row: Mapping) -> str:
    """How many seeds a row has, and of how many where it lacks some."""
    return f"{row['n']}" if row["n"] >= row["needed"] else f"{row['n']} of {row['needed']}"


def printed_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """What D does along each axis, as the book prints it."""
    rows = [
        {
            "axis": row["axis"],
            "hosts": row["host"],
            "so D": row["change"],
            "seeds": seeds_of(row),
            "a step is a": row["step"],
            "nats a step": said(row, "nats", 3),
            "p": p_text(row["nats_p_holm"]),
            "own spreads a step": said(row, "spreads", 2),
            "p ": p_text(row["spreads_p_holm"]),
            "first to last, nats": said(row, "whole", 3),
            "factor a step": said(row, "factor", 2),
            "at epoch 10, nats a step": said(row, "early", 3),
        }
        for row in lines.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_areas(lines: pd.DataFrame) -> pd.DataFrame:
    """What the area and accuracy do along each axis, as the book prints it."""
    rows = [
        {
            "axis": row["axis"],
            "hosts": row["host"],
            "so it is": row["reading"],
            "area a step": said(row, "area", 3),
            "p": p_text(row["area_p_holm"]),
            "accuracy a step": said(row, "accuracy", 4),
        }
        for row in lines.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_points(points: pd.DataFrame) -> pd.DataFrame:
    """Every point, as the book prints it."""
    rows = [
        {"axis": row["axis"], "value": called(row["value"]), "hosts": row["host"]} | printed_models(row)
        for row in points.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_models(row: Mapping) -> dict[str, str]:
    """The numbers of `ufm.evidence.scaling.point`, as the book prints them."""
    return {
        "seeds": seeds_of(row),
        "mean D, nats": said(row, "nats", 3),
        "in own spreads": said(row, "spreads", 2),
        "at epoch 10, nats": said(row, "early", 3),
        "area, label unknown": said(row, "unknown", 2),
        "found": said(row, "unknown_found", 2),
        "label known": said(row, "known", 2),
        "accuracy": said(row, "accuracy", 3),
        "best epoch": number(row["epoch"], 1),
    }


def printed_further(lines: pd.DataFrame, further: pd.DataFrame) -> pd.DataFrame:
    """Whether each line foretells its largest value, and what it says beyond, as the book prints it."""
    rows = []
    for row in lines.to_dict("records"):
        ours = further[(further["axis"] == row["axis"]) & (further["host"] == row["host"])].to_dict("records")
        ends = "; ".join(
            f"{called(one['value'])}: {said(one, 'nats', 3)}" for one in ours if one["nats"] == one["nats"]
        )
        rows.append(
            {
                "axis": row["axis"],
                "hosts": row["host"],
                "the largest value is": row["verdict"],
                "missed by, nats": said(row, "miss", 3),
                "beyond it, nats": ends or "–",
            }
        )
    return pd.DataFrame(rows)


def quantities(points: pd.DataFrame, lines: pd.DataFrame, population: str) -> Quantities:
    """What the chapter found beside models of a population, by axis, value and kind of host."""
    found: dict[str, dict] = {}
    for row in points.to_dict("records"):
        for name, what in {"nats": "contrast", "unknown": "area", "accuracy": "accuracy"}.items():
            if not pd.isna(row[name]):
                quantity = f"{what}, {row['axis']} {called(row['value'])}, {row['host']} hosts"
                found[quantity] = {population: interval_of(row, name)}
    for row in lines.to_dict("records"):
        for name, what in {"nats": "contrast", "spreads": "contrast in own spreads", "area": "area"}.items():
            if not pd.isna(row.get(name)):
                quantity = f"slope of {what}, {row['axis']}, {row['host']} hosts"
                found[quantity] = {population: interval_of(row, name)}
    return found


def printed_pretrained(models: pd.DataFrame) -> pd.DataFrame:
    """Networks from scratch and pretrained ones, as the book prints them."""
    rows = [{"networks": row["way"], "hosts": row["host"]} | printed_models(row) for row in models.to_dict("records")]
    return pd.DataFrame(rows)


def pretrained_texts(changes: pd.DataFrame, models: pd.DataFrame) -> dict[str, str]:
    """For the text: what each word is said of, and by how much D differs, such as `fine_tuned_whole_hard`."""
    scratch = models[models["way"] == SCRATCH].set_index("host")
    names = []
    for row in changes.to_dict("records"):
        by = said(row, "nats", 3)
        much = f", by {by} from {number(scratch.loc[row['host'], 'nats'], 3)} nats" if by != "–" else ""
        names.append(f"{row['way']} ({row['host']} hosts{much})")
    found = {"pretrained": by_word(changes["change"], pd.Series(names, changes.index, dtype=object)) or NONE}
    found |= {key(f"{way} {host}"): NONE for way in WAYS for host in HOST_COLOURS}
    for row in changes.to_dict("records"):
        numbers = [
            f"{said(row, name, 3)} nats{when}" for name, when in {"nats": "", "early": " after ten epochs"}.items()
        ]
        if not pd.isna(row["nats"]):
            found[key(f"{row['way']} {row['host']}")] = ", ".join(numbers)
    return found


def pretrained_quantities(models: pd.DataFrame, changes: pd.DataFrame) -> Quantities:
    """What the chapter found of pretrained networks, by what is done and kind of host."""
    found: dict[str, dict] = {}
    for table, names in (
        (models, {"nats": "contrast", "unknown": "area", "accuracy": "accuracy"}),
        (changes, {"nats": "change of the contrast", "cost": "change of accuracy"}),
    ):
        for row in table.to_dict("records"):
            for name, what in names.items():
                if not pd.isna(row[name]):
                    quantity = f"{what}, {row['way']}, {row['host']} hosts"
                    found[quantity] = {row["population"]: interval_of(row, name)}
    return found
