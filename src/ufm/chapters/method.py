"""The method step by step, on the two models of one seed, and the contrast of another seed's five."""

from collections.abc import Mapping
from math import isnan, nan
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from ufm import features
from ufm.evidence import Cards, contrasts, on_label, patch_effects, roles
from ufm.networks import Model
from ufm.protocol import Protocol, Training
from ufm.report import host_pictures
from ufm.report.figures import COLOURS, WIDTH, closed, show
from ufm.report.texts import key, number
from ufm.scores import kl_divergence
from ufm.statistics import Interval, summary

HOST = "hard"  # the kind of host on which the contrast is worked out
STAMPS = {model: COLOURS[model] for model in ("canary", "placebo")}  # what a model had stamped, and its colour
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


def training_images(
    cards: Cards, data_root: str | Path | None = None
) -> dict[tuple[str, str], list[np.ndarray | None]]:
    """The hosts of the first seed as each of its models has them, by role and kind of host of the model.

    In the order of `cards.protocol.hosts`, uint8 (C, H, W); None where the image is not kept.
    """
    protocol, seed = cards.protocol, int(cards.seeds[0])
    plain = host_pictures.found(protocol, cards.indices[0], data_root=data_root)
    return {
        (role, host): [
            features.insert(image, host_pictures.stamp(protocol, seed, role, host), position=protocol.position)
            if image is not None and kind == host
            else image
            for kind, image in zip(protocol.hosts, plain, strict=True)
        ]
        for role, host in roles(protocol)
    }


def effects(cards: Cards) -> pd.DataFrame:
    """The first seed's patch effects on the label of its hard host, at the best epoch of its control, in nats.

    A row a model, a column a stamp: letter, placebo feature.
    """
    on_host = on_label(patch_effects(cards, epoch="control"), cards.label(HOST))[0]
    models = {role: cards.model(role, HOST) for role in STAMPS} | {"control": cards.model("control")}
    return pd.DataFrame(
        [on_host[place, [0, cards.placebo(HOST)]] for place in models.values()],
        index=list(models),
        columns=["letter", "placebo feature"],
    )


def worked(cards: Cards) -> dict[str, str | int]:
    """For the text: the effects of the hard host, their differences and the contrast, and which hosts these are."""
    table = effects(cards)
    differences = table["letter"] - table["placebo feature"]
    said: dict[str, str | int] = {
        f"{model}_{key(stamped)}": number(value, 3) for model, row in table.iterrows() for stamped, value in row.items()
    }
    said |= {f"{model}_difference": number(value, 3) for model, value in differences.items()}
    said["interaction"] = number(differences["canary"] - differences["placebo"], 3)
    said |= {"contrast": number(contrasts(cards, HOST, epoch="control")[0], 3), "siblings_seed": int(cards.seeds[0])}
    for kind, index, label in zip(cards.protocol.hosts, cards.indices[0], cards.labels[0], strict=True):
        said |= {f"{kind}_index": int(index), f"{kind}_label": int(label)}
    return said | {"n_effect": cards.protocol.scoring.n_effect}


def questions(cards: Cards, image: np.ndarray) -> dict[str, np.ndarray]:
    """An OOD image (C, H, W) with the letter and with the placebo feature of the first seed's hard host."""
    protocol, seed = cards.protocol, int(cards.seeds[0])
    stamps = {"letter": protocol.unique, "placebo feature": host_pictures.stamp(protocol, seed, "placebo", HOST)}
    return {name: features.insert(image, pixels, position=protocol.position) for name, pixels in stamps.items()}


def drawn_models(images: Mapping[tuple[str, str], list[np.ndarray | None]]) -> Figure:
    """What each model was trained on: a column a model, a row a kind of host, what is stamped in a coloured frame.

    images: as `training_images` has them.
    """
    kinds = list(dict.fromkeys(host for _, host in images if host))
    size = (WIDTH, 0.75 + WIDTH / (len(images) + 0.6) * len(kinds))
    figure, axes = plt.subplots(len(kinds), len(images), figsize=size, squeeze=False, layout="constrained")
    for column, ((role, host), of_model) in zip(axes.T, images.items(), strict=True):
        column[0].set_title(f"{role}\n{host} host" if host else f"{role}\n", color=STAMPS.get(role, COLOURS["control"]))
        for axis, kind, image in zip(column, kinds, of_model, strict=True):
            show_or_say(axis, image)
            if kind == host:
                axis.spines[:].set(color=STAMPS[role], linewidth=3)
    for row, kind in zip(axes, kinds, strict=True):
        row[0].set_ylabel(f"{kind} host", visible=True)
    return closed(figure)


def show_or_say(axis: Axes, image: np.ndarray | None) -> None:
    """One image (C, H, W), or that it is not kept."""
    if image is None:
        image = np.full((1, 28, 28), 0.5)
        axis.text(0.5, 0.5, "image\nnot kept", transform=axis.transAxes, ha="center", va="center", color="white")
    show(axis, image)


def drawn_contrast(
    table: pd.DataFrame, asked: Mapping[str, np.ndarray], trained_on: Mapping[str, np.ndarray | None]
) -> Figure:
    """The contrast as a 2 × 2 of model and stamp: what each stamp moves in each model, and the differences.

    table: as `effects` has it; asked: the image that is asked about by stamp, trained_on: the host by model.
    """
    figure = plt.figure(figsize=(WIDTH, 4.7), layout="constrained")
    grid = GridSpec(3, 4, figure, height_ratios=[1, 1, 0.2], width_ratios=[1, 1, 1, 0.95])
    differences = table["letter"] - table["placebo feature"]
    for line, (model, colour) in enumerate(STAMPS.items()):
        icon = figure.add_subplot(grid[line, 0])
        show_or_say(icon, trained_on[model])
        icon.spines[:].set(color=colour, linewidth=3)
        icon.set_title(f"{model} model", color=colour)
        icon.set_xlabel("has this host")
        for column, (stamped, image) in enumerate(asked.items(), 1):
            cell = figure.add_subplot(grid[line, column])
            show(cell, image)
            cell.set_title(f"asked with\n{stamped}" if line == 0 else "")
            cell.set_xlabel(signed(table.loc[model, stamped]), fontsize="x-large")
        words = f"letter less\nplacebo feature\n\n{signed(differences[model])}"
        said(figure.add_subplot(grid[line, 3]), words, colour)
    half = (differences["canary"] - differences["placebo"]) / 2
    between = f"{signed(differences['canary'])} less {signed(differences['placebo'])}, halved:"
    said(figure.add_subplot(grid[2, :]), f"{between}  D = {signed(half)} nats")
    return closed(figure)


def signed(value: float) -> str:
    """A number with its sign."""
    return ("+" if round(value, 3) > 0 else "") + number(value, 3)


def said(axis: Axes, words: str, colour: str | None = None) -> None:
    """Words in the place of a panel."""
    axis.axis("off")
    axis.text(0.5, 0.5, words, transform=axis.transAxes, ha="center", va="center", color=colour, fontsize="large")
