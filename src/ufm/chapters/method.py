"""The method step by step, on the two models of one seed."""

from collections.abc import Mapping
from math import isnan, nan

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.networks import Model
from ufm.protocol import Protocol, Training
from ufm.report.figures import WIDTH, closed, show
from ufm.report.texts import key
from ufm.scores import kl_divergence
from ufm.statistics import Interval, summary

ENDS = {"": "estimate", "_low": "low", "_high": "high"}  # a name's ending → the summary's column


def summary_of_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of one seed's two models, without intervals: one model has none."""
    quantities: dict[str, Interval] = {}
    for row in scores.to_dict("records"):
        quantities |= {
            f"M, {row['role']} model": Interval(row["memorisation_score"], nan, nan, 1),
            f"M, {row['role']} model, raw inputs": Interval(row["memorisation_score_raw"], nan, nan, 1),
        }
    return summary(quantities)


def texts(table: pd.DataFrame, *, digits: int = 3) -> dict[str, float | str]:
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


def reading(low: float, high: float) -> str:
    """Where an interval lies: "above zero", "below zero", "not told apart from zero"; "without an interval" for NaN."""
    if isnan(low) or isnan(high):
        return "without an interval"
    return "above zero" if low > 0 else "below zero" if high < 0 else "not told apart from zero"


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


def drawn_images(images: Mapping[str, np.ndarray]) -> Figure:
    """Images (C, H, W) beside each other, values in [0, 1] or uint8, each under its title."""
    figure, axes = plt.subplots(1, len(images), figsize=(WIDTH * 0.75, 1.9), squeeze=False, layout="constrained")
    for axis, (title, image) in zip(axes[0], images.items(), strict=True):
        show(axis, image)
        axis.set_title(title, fontsize="medium")
    return closed(figure)


def drawn_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Rows of images: each label with an array (n, C, H, W) of values in [0, 1] or uint8."""
    n_columns = max(len(images) for images in rows.values())
    size = (WIDTH, WIDTH / (n_columns + 0.7) * len(rows))
    figure, axes = plt.subplots(len(rows), n_columns, figsize=size, squeeze=False, layout="constrained")
    for row, (label, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, images, strict=True):
            show(axis, image)
        row[0].text(-0.12, 0.5, label, transform=row[0].transAxes, ha="right", va="center")
    return closed(figure)


def drawn_divergences(table: pd.DataFrame) -> Figure:
    """Distribution over images of KL(clean ‖ with the letter) and KL(clean ‖ with a random feature), a panel a role."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3), layout="constrained", sharey=True, sharex=True)
    kinds = {"kl_unique": ("letter", "#D55E00", "-"), "kl_random": ("random feature", "#0072B2", "--")}
    for axis, role in zip(axes, ("control", "canary"), strict=True):
        for column, (label, colour, line) in kinds.items():
            values = np.sort(table.loc[table["role"] == role, column].clip(lower=1e-6))
            axis.plot(values, np.arange(1, len(values) + 1) / len(values), line, color=colour, label=label)
        axis.set(title=role, xscale="log", xlabel="KL divergence (nats)")
    axes[0].set_ylabel("share of images below")
    axes[0].legend(loc="upper left")
    sns.despine(figure)
    return closed(figure)


def drawn_settling(table: pd.DataFrame) -> Figure:
    """The score against the number of OOD images, a line for each number of random features, a panel a role."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3), layout="constrained", sharey=True)
    counts = sorted(table["n_random"].unique())
    styles = dict(zip(counts, zip(("#56B4E9", "#0072B2", "#000000"), ("o", "s", "D"), strict=True), strict=False))
    for axis, role in zip(axes, ("control", "canary"), strict=True):
        axis.axhline(0, color="0.4", linewidth=0.8)
        for count in counts:
            rows = table[(table["role"] == role) & (table["n_random"] == count)]
            colour, marker = styles[count]
            label = f"{count} random feature{'s' if count > 1 else ''} an image"
            axis.plot(
                rows["n_images"], rows["memorisation_score"], color=colour, marker=marker, markersize=4, label=label
            )
        axis.set(title=role, xscale="log", xlabel="OOD images")
    axes[0].set_ylabel("memorisation score (nats)")
    axes[1].legend(loc="best", fontsize="small")
    sns.despine(figure)
    return closed(figure)
