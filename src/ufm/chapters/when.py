"""When the letter is learnt: the contrast and how the host is fitted, after every epoch of training."""

from dataclasses import asdict

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ufm.evidence import LETTER, PLAIN, Cards, contrasts_of_specific
from ufm.report.figures import WIDTH, closed
from ufm.report.texts import key, number, numbers
from ufm.statistics import bootstrap_interval, columns

HOST = "hard"
IMAGES = ("ood", "test")
MEASURED = ("contrast", "contrast_test", "plain", "letter", "control", "train_loss", "held_out_loss")


def by_seed(cards: Cards) -> pd.DataFrame:
    """A row a seed and epoch.

    Columns: seed, epoch; contrast and contrast_test (D on OOD and on test images, nats); plain and letter
    (log-probability of the host's label in the canary, the host without and with the letter), control (the plain host
    in the control); train_loss and held_out_loss (of the canary, nats).
    """
    canary, control = cards.model("canary", HOST), cards.model("control")
    kind = cards.protocol.hosts.index(HOST)
    tables = []
    for place, seed in enumerate(cards.seeds):
        fits = cards.arrays["epoch_host_log_probability"][place, :, :, kind].astype(float)
        history = cards.histories[place][canary]
        found = {
            "seed": seed,
            "epoch": np.arange(1, 1 + len(history)),
            "plain": fits[canary, :, PLAIN],
            "letter": fits[canary, :, LETTER],
            "control": fits[control, :, PLAIN],
            "train_loss": history[:, 0].astype(float),
            "held_out_loss": history[:, 1].astype(float),
        }
        tables.append(pd.DataFrame(found))
    table = pd.concat(tables, ignore_index=True)
    for name, end in zip(IMAGES, ("", "_test"), strict=True):
        effects = cards.arrays[f"epoch_{name}_effect"]
        every = [contrasts_of_specific(cards, HOST, effects[:, :, epoch]) for epoch in range(effects.shape[2])]
        table[f"contrast{end}"] = np.stack(every, axis=1).ravel()
    return table[["seed", "epoch", *MEASURED]]


def means(table: pd.DataFrame) -> pd.DataFrame:
    """The mean of every measure after each epoch: columns epoch, n, and each with its low and high end.

    95 % bootstrap intervals over seeds. table: as `by_seed` has it.
    """
    rows = [
        {"epoch": epoch, "n": len(ones)}
        | columns({name: bootstrap_interval(ones[name].to_numpy()) for name in MEASURED})
        for epoch, ones in table.groupby("epoch")
    ]
    return pd.DataFrame(rows)


def kept_epochs(cards: Cards) -> np.ndarray:
    """The epoch (n_seeds, n_models), from 1, whose weights early stopping would have kept.

    That of the lowest held-out loss before as many epochs went by without a lower one as the protocol's patience.
    """
    epochs = np.zeros(cards.arrays["epoch_ood_effect"].shape[:2], int)
    for place, models in enumerate(cards.histories):
        for model, history in enumerate(models):
            best = 0
            for epoch, loss in enumerate(history[:, 1]):
                if loss < history[best, 1]:
                    best = epoch
                if epoch - best >= cards.protocol.training.patience:
                    break
            epochs[place, model] = best + 1
    return epochs


def contrasts_kept(cards: Cards) -> np.ndarray:
    """Contrast D (n_seeds,) on OOD images of the models that early stopping would have kept, each of its own epoch."""
    epochs = kept_epochs(cards)[:, :, None, None, None] - 1
    return contrasts_of_specific(cards, HOST, np.take_along_axis(cards.arrays["epoch_ood_effect"], epochs, 2)[:, :, 0])


def summary(cards: Cards) -> pd.DataFrame:
    """What is said of the epochs in the text: columns quantity, estimate, low, high, n."""
    rows, kept = by_seed(cards), contrasts_kept(cards)
    first, last = (rows[rows["epoch"] == epoch].set_index("seed") for epoch in (1, rows["epoch"].max()))
    quantities = {
        "kept epoch": kept_epochs(cards)[:, cards.model("canary", HOST)].astype(float),
        "contrast after the first epoch": first["contrast"],
        "contrast at the kept epoch": kept,
        "contrast after the last epoch": last["contrast"],
        "last less kept epoch": last["contrast"] - kept,
    }
    quantities |= {
        f"{name} host after the {which} epoch": ones[name]
        for which, ones in (("first", first), ("last", last))
        for name in ("plain", "letter", "control")
    }
    return pd.DataFrame(
        [{"quantity": name} | asdict(bootstrap_interval(np.asarray(ones))) for name, ones in quantities.items()]
    )


def texts(table: pd.DataFrame) -> dict[str, str]:
    """For the text: the summary's contrasts (nats) and epoch; of a log-probability the probability that it stands for.

    That of a mean log-probability is a geometric mean over seeds.
    """
    found = numbers(table, digits=3)
    for row in table.to_dict("records"):
        name = key(row["quantity"])
        if " host after " in row["quantity"]:
            found[name] = number(float(np.exp(row["estimate"])), 3)
        elif row["quantity"] == "kept epoch":
            found[name] = number(row["estimate"], 0)
    return found


def first_above_zero(averages: pd.DataFrame) -> str:
    """From which epoch on the interval of the mean contrast stays above zero, in words."""
    below = averages.loc[~(averages["contrast_low"] > 0), "epoch"]
    first = 1 if below.empty else int(below.max()) + 1
    return f"stays above zero from epoch {first} on" if first <= averages["epoch"].max() else "reaches zero at the end"


def drawn_epochs(seeds: pd.DataFrame, averages: pd.DataFrame, kept: float) -> Figure:
    """Contrast, fit of the host and losses against the epoch, one above the other, with 95 % intervals over seeds.

    seeds: columns seed, epoch, contrast, thin lines; averages: columns epoch and what the chapter *When* measures, each
    with its low and high end; kept: the epoch of the dashed line.
    """
    figure, axes = plt.subplots(3, sharex=True, figsize=(WIDTH, 6.6), layout="constrained")
    groups = (
        ("contrast D (nats)", {"contrast": "OOD images", "contrast_test": "test images"}),
        (
            "log-probability (nats)",
            {"letter": "host with the letter", "plain": "host without it", "control": "host in the control"},
        ),
        ("loss (nats)", {"train_loss": "training", "held_out_loss": "held out"}),
    )
    for _, rows in seeds.groupby("seed"):
        axes[0].plot(rows["epoch"], rows["contrast"], color="0.6", linewidth=0.5, alpha=0.5)
    for axis, (title, lines) in zip(axes, groups, strict=True):
        for place, (name, words) in enumerate(lines.items()):
            colour = sns.color_palette("colorblind")[(0, 3, 7)[place]]
            ends = averages[f"{name}_low"], averages[f"{name}_high"]
            axis.fill_between(averages["epoch"], *ends, color=colour, alpha=0.2, linewidth=0)
            axis.plot(averages["epoch"], averages[name], ("-", "--", ":")[place], color=colour, label=words)
        axis.axvline(kept, color="0.4", linewidth=0.8, linestyle="--")
        axis.set_ylabel(title)
        axis.legend(fontsize="small", frameon=False)
    axes[0].axhline(0, color="0.4", linewidth=0.8)
    axes[2].set(xlabel="epoch", yscale="log")
    sns.despine(figure)
    return closed(figure)
