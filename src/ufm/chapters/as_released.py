"""The released notebook's ten canaries beside ours."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.plan.as_released import AS_RELEASED, BLACK_SQUARE, ON_ONE_HALF, RELEASED
from ufm.report.figures import COLOURS, MARKERS, WIDTH, closed
from ufm.report.texts import number
from ufm.statistics import SUMMARY_COLUMNS
from ufm.study.runs import Population

# As the released notebook on MNIST prints them, for the hosts in `RELEASED`; positive = not memorised, so that the sign
# is turned below.
PRINTED = (-0.098, -0.004, 0.046, -0.107, 0.023, 0.069, -0.033, -0.131, 0.064, 0.015)


def beside(scores: pd.DataFrame) -> pd.DataFrame:
    """A row a canary, in nats, positive = memorised: its score, its control's under the same label, the printed one.

    Columns: seed, canary_index, canary_label, released (NaN for other images), canary, control, and the last two with
    normalised inputs. scores: the table of `ufm.records`.
    """
    known = {"label_known_score_raw": "", "label_known_score": "_normalised"}
    keys = ["seed", "canary_index", "canary_label"]
    wide = scores.pivot(index=keys, columns="role", values=list(known))
    table = pd.DataFrame(
        {f"{role}{end}": wide[column, role] for column, end in known.items() for role in ("canary", "control")}
    ).reset_index()
    printed = {int(index): -value for index, value in zip(RELEASED, PRINTED, strict=True)}
    ours = (scores["dataset"] == "mnist").all()
    released = [printed.get(index, np.nan) if ours else np.nan for index in table["canary_index"]]
    table.insert(3, "released", released)
    return table.sort_values("canary", ignore_index=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """What the canaries of one seed show, without intervals: they share an initialisation."""
    quantities = {
        "smallest, canary": table["canary"].min(),
        "largest, canary": table["canary"].max(),
        "smallest, control": table["control"].min(),
        "largest, control": table["control"].max(),
        "share above zero, canaries": (table["canary"] > 0).mean(),
        "share above zero, control": (table["control"] > 0).mean(),
        "correlation of canary and control": table["canary"].corr(table["control"]),
        "canary less control": (table["canary"] - table["control"]).mean(),
    }
    if table["released"].notna().any():
        quantities |= {
            "smallest, released notebook": table["released"].min(),
            "largest, released notebook": table["released"].max(),
            "share above zero, released notebook": (table["released"] > 0).mean(),
        }
    rows = [(name, float(value), np.nan, np.nan, 1) for name, value in quantities.items()]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def remark(table: pd.DataFrame) -> str:
    """How the released numbers lie, in words; that there are none where these are other images."""
    released = table["released"].dropna()
    if released.empty:
        return "These are other images than the notebook's, so its numbers do not stand beside them."
    low, high = number(released.min(), 3), number(released.max(), 3)
    return f"Those of the notebook lie between {low} and {high}, {positive(released)} of them above zero."


def deviations(populations: Mapping[str, Population]) -> pd.DataFrame:
    """What each deviation does to the scores of the canaries of one seed, in nats, positive = memorised.

    A row the released setting, two other ways to score its models, and each deviation that is recorded. Columns:
    setting, n (canaries), known, smallest, largest and positive (label-known score: mean, extremes, share above zero),
    control (mean of the control's under the same labels), moved (mean distance of a canary's score from its own in the
    first row, on test images in the second), unmoved (canaries whose score is the very same there), as_control
    (canaries whose score is the very control's), memorisation and memorisation_control (mean score M; NaN on test
    images).
    """
    base = populations["as-released"].tables["scores"]
    cells = [
        (AS_RELEASED, base, "label_known_score_raw", "memorisation_score_raw"),
        ("normalised inputs", base, "label_known_score", "memorisation_score"),
        ("test images, normalised inputs", base, "label_known_score_test", None),
        *(
            (population.setting, population.tables["scores"], "label_known_score_raw", "memorisation_score_raw")
            for population in populations.values()
            if population.setting != AS_RELEASED
        ),
    ]
    rows: list[dict[str, object]] = []
    before: dict[str, pd.Series] = {}
    for setting, scores, known, memorisation in cells:
        wide = scores.pivot(index=["seed", "canary_index"], columns="role", values=known)
        canaries = wide["canary"]
        before[known] = before.get(known, canaries)
        first = before["label_known_score" if known == "label_known_score_test" else "label_known_score_raw"]
        row = {"setting": setting, "n": len(canaries), "known": canaries.mean()}
        row |= {"smallest": canaries.min(), "largest": canaries.max(), "positive": (canaries > 0).mean()}
        row |= {"control": wide["control"].mean(), "moved": (canaries - first).abs().mean()}
        row |= {"unmoved": alike(canaries, first), "as_control": alike(canaries, wide["control"])}
        for role, column in {"canary": "memorisation", "control": "memorisation_control"}.items():
            of_role = scores[scores["role"] == role]
            row[column] = np.nan if memorisation is None else of_role[memorisation].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def alike(scores: pd.Series, others: pd.Series) -> int:
    """How many scores are the others', to a millionth of a nat."""
    return int(np.isclose(scores, others, rtol=0, atol=1e-6).sum())


def texts(table: pd.DataFrame, deviations: pd.DataFrame) -> dict[str, str]:
    """For the text: which images carry the letter, and how many canaries have which scores.

    Those above zero, those that half the test split leaves as they were, and those that a black square leaves as the
    control is.
    """
    rows = deviations.set_index("setting")
    asked = {"same_on_one_half": (ON_ONE_HALF, "unmoved"), "black_as_control": (BLACK_SQUARE, "as_control")}
    counts = {
        name: f"{rows.loc[setting, column]} of {rows.loc[setting, 'n']}" if setting in rows.index else "not recorded"
        for name, (setting, column) in asked.items()
    }
    counts |= {f"positive_{role}": positive(table[role]) for role in ("canary", "control")}
    same = table["released"].notna().all()
    return {"images": "the same ten images carry" if same else "other images than the notebook's carry"} | counts


def positive(scores: pd.Series) -> str:
    """How many of these scores are above zero, "8 of 10"."""
    return f"{int((scores > 0).sum())} of {len(scores)}"


def printed_deviations(table: pd.DataFrame) -> pd.DataFrame:
    """The deviations as the book prints them."""
    rows = [
        {
            "setting": row["setting"],
            "label-known score, mean": number(row["known"], 3),
            "from … to": f"{number(row['smallest'], 3)} to {number(row['largest'], 3)}",
            "above zero": number(row["positive"], 2),
            "control, mean": number(row["control"], 3),
            "moved by": number(row["moved"], 3),
            "M, mean": number(row["memorisation"], 3),
            "M, control": number(row["memorisation_control"], 3),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def printed_scores(table: pd.DataFrame) -> pd.DataFrame:
    """The scores as the book prints them."""
    names = {
        "canary_index": "image",
        "canary_label": "label",
        "released": "released notebook",
        "canary": "canary, raw inputs",
        "control": "control, raw inputs",
        "canary_normalised": "canary, normalised",
        "control_normalised": "control, normalised",
    }
    shown = table[list(names)].rename(columns=names)
    shown["released notebook"] = [number(score, 3) for score in shown["released notebook"]]
    return shown


def drawn_scores(table: pd.DataFrame) -> Figure:
    """Label-known scores of canaries, of the control under the same labels, and of the released notebook."""
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 + 0.28 * len(table)), layout="constrained")
    rows = np.arange(len(table))
    axis.hlines(rows, table[["canary", "control"]].min(axis=1), table[["canary", "control"]].max(axis=1), color="0.8")
    for role in ("canary", "control"):
        axis.scatter(table[role], rows, 34, color=COLOURS[role], marker=MARKERS[role], label=role, zorder=2)
    if table["released"].notna().any():
        axis.scatter(table["released"], rows, 30, color="black", marker="|", label="released notebook", zorder=2)
    axis.axvline(0, color="0.4", linewidth=0.8)
    names = [f"{index} ({label})" for index, label in zip(table["canary_index"], table["canary_label"], strict=True)]
    axis.set(yticks=rows, yticklabels=names, xlabel="label-known score (nats)", ylabel="image (label)")
    figure.legend(loc="outside upper center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)
