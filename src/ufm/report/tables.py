"""From records to the tables that the book prints."""

import re
from collections.abc import Mapping
from math import isnan, nan
from typing import TYPE_CHECKING

import pandas as pd
from pandas.io.formats.style import Styler

from ufm.networks import Model
from ufm.protocol import Protocol, Training
from ufm.scores import kl_divergence
from ufm.statistics import SUMMARY_COLUMNS, Interval, summary

if TYPE_CHECKING:
    from IPython.display import HTML

# In a narrow column a line breaks before the "to" of an interval, and never after a "<".
UNBROKEN = {r" to (?=[−\d])": " to\u00a0", r"^< ": "<\u00a0"}
ENDS = {"": "estimate", "_low": "low", "_high": "high"}  # a name's ending → the summary's column


def named(table: pd.DataFrame, *, digits: int = 3) -> dict[str, float | str]:
    """A summary table's numbers under names for the text: `m_canaries`, `m_canaries_low`, `_high` and `_reading`.

    Rounded as in the printed tables; the reading says where the interval lies to zero.
    """
    values: dict[str, float | str] = {}
    for row in table.to_dict("records"):
        name = key(row["quantity"])
        # Adding zero turns −0.0 into 0.0.
        values |= {f"{name}{end}": round(row[column], digits) + 0.0 for end, column in ENDS.items()}
        values[f"{name}_reading"] = reading(row["low"], row["high"])
    return values


def key(quantity: str) -> str:
    """A quantity's name as the text calls its numbers, such as `m_canaries`."""
    return re.sub(r"\W+", "_", quantity.lower()).strip("_")


def reading(low: float, high: float) -> str:
    """Where an interval lies: "above zero", "below zero", "not told apart from zero"; "without an interval" for NaN."""
    if isnan(low) or isnan(high):
        return "without an interval"
    return "above zero" if low > 0 else "below zero" if high < 0 else "not told apart from zero"


def walkthrough_summary(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of one seed's two models, without intervals: one model has none."""
    quantities = {}
    for row in scores.to_dict("records"):
        quantities |= {
            f"M, {row['role']} model": Interval(row["memorisation_score"], nan, nan, 1),
            f"M, {row['role']} model, raw inputs": Interval(row["memorisation_score_raw"], nan, nan, 1),
        }
    return summary(quantities)


def example_divergences(examples: pd.DataFrame, *, role: str) -> pd.DataFrame:
    """A row an example image: the most probable class of each version, and how far each stamp moved the output."""
    rows = []
    for image, one in examples[examples["role"] == role].groupby("image"):
        p = one.pivot(index="version", columns="class", values="probability")
        classes = {f"class, {version}": int(p.loc[version].argmax()) for version in ("clean", "unique", "random")}
        divergence = {
            f"KL(clean ‖ {version})": float(kl_divergence(p.loc[["clean"]], p.loc[[version]])[0])
            for version in ("unique", "random")
        }
        rows.append({"image": image + 1} | classes | divergence)
    return pd.DataFrame(rows)


def printed(table: pd.DataFrame, *, caption: str, name: str, digits: int = 3) -> "HTML":
    """A table as the book prints it; the same table gives the same bytes. One without rows says so."""
    from IPython.display import HTML  # a machine that only trains has none

    if table.empty:
        return HTML(f"<p>{caption}: nothing is recorded yet.</p>")
    # An element of its own stays in view beside a table that scrolls.
    said = f"<span>{caption}</span>"
    table = table.replace(UNBROKEN, regex=True)
    style = Styler(table, precision=digits, uuid=name, cell_ids=False, caption=said).hide(axis="index")
    return HTML(style.to_html())


def printed_summary(table: pd.DataFrame, *, caption: str, name: str) -> "HTML":
    """A summary table as the book prints it, a row a quantity."""
    texts = estimates(table)
    return printed(pd.DataFrame({"quantity": texts.keys(), "estimate": texts.values()}), caption=caption, name=name)


def estimates(table: pd.DataFrame, *, digits: int = 3) -> dict[str, str]:
    """Each quantity of a summary table as text, see `with_interval`."""
    return {row["quantity"]: with_interval(row, digits=digits) for row in table.to_dict("records")}


def with_interval(row: Mapping[str, float], *, digits: int = 2, end: str = "") -> str:
    """An estimate and its interval as text, such as "0.47 (0.35 to 0.58)"; "cannot be decided" where there is none.

    The columns are `estimate`, `low`, `high`; with `end` such as "found" they are `found`, `found_low`, `found_high`.
    """
    estimate, low, high = (row[name] for name in ((end, f"{end}_low", f"{end}_high") if end else SUMMARY_COLUMNS[1:4]))
    if isnan(estimate):
        return "cannot be decided"
    interval = "" if isnan(low) else f" ({number(low, digits)} to {number(high, digits)})"
    return number(estimate, digits) + interval


def number(value: float, digits: int) -> str:
    """A number as text; minus zero is zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def counted(words: pd.Series) -> str:
    """How often each word occurs, such as "memorised 3, undecided 1"."""
    return ", ".join(f"{word} {count}" for word, count in words.value_counts(sort=False).items())


def widths(model: Model) -> str:
    """How wide the layers of a network are, in words."""
    if not hasattr(model, "hidden"):
        return "as published"
    hidden = f"{'–'.join(map(str, model.hidden))} hidden units"
    return f"{'–'.join(map(str, model.channels))} channels, {hidden}" if hasattr(model, "channels") else hidden


def optimiser_in_words(training: Training) -> str:
    """Such as "Adam, learning rate 0.0003, epsilon 1e-07"."""
    if sgd := training.optimiser:
        rates = f"learning rate {sgd.learning_rate:g}, momentum {sgd.momentum:g}, weight decay {sgd.weight_decay:g}"
        return f"SGD, {rates}"
    return f"Adam, learning rate {training.learning_rate:g}, epsilon {training.epsilon:g}"


def training_settings(protocol: Protocol) -> pd.DataFrame:
    """How the models of a protocol are trained, a row a setting: columns setting, value."""
    training, n_epochs = protocol.training, protocol.training.epochs
    stopping = {
        "half": f"when the loss on one half of the test split has not fallen for {training.patience} epochs",
        "released": f"when the loss on the whole test split has not fallen for {training.patience} epochs",
        "validation": f"when the loss on the validation split has not fallen for {training.patience} epochs",
        "none": "only there",
    }[training.early_stopping]
    best = "the last epoch's" if training.early_stopping == "none" else "those of the epoch with the lowest such loss"
    rows = {
        "network": f"{protocol.model.name}, {protocol.model.variant}, {widths(protocol.model)}, ReLU",
        "initial weights": "Glorot-uniform, biases zero",
        "optimiser": optimiser_in_words(training),
        "batches": f"{training.batch_size} images in file order, never shuffled",
        "longest training": f"{n_epochs} epochs",
        "training stops": stopping,
        "weights kept": best,
        "precision": training.precision,
    }
    return pd.DataFrame({"setting": rows.keys(), "value": rows.values()})
