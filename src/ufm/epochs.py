"""When the letter is learnt: the contrast and how the host is fitted, after every epoch of training."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from ufm.evidence import LETTER, PLAIN, Cards, contrasts_of
from ufm.statistics import bootstrap_interval

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
    shifts = {name: cards.arrays[f"epoch_{name}_shift"].swapaxes(1, 2) for name in IMAGES}
    tables = []
    for place, seed in enumerate(cards.seeds):
        fits = cards.arrays["epoch_host_log_probability"][place, :, :, kind].astype(float)
        history = cards.histories[place][canary]
        columns = {
            "seed": seed,
            "epoch": np.arange(1, 1 + len(history)),
            "plain": fits[canary, :, PLAIN],
            "letter": fits[canary, :, LETTER],
            "control": fits[control, :, PLAIN],
            "train_loss": history[:, 0].astype(float),
            "held_out_loss": history[:, 1].astype(float),
        }
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    for name, end in zip(IMAGES, ("", "_test"), strict=True):
        n_seeds, n_epochs = shifts[name].shape[:2]
        every = np.stack([contrasts_of(cards, HOST, shifts[name][:, epoch]) for epoch in range(n_epochs)], axis=1)
        table[f"contrast{end}"] = every.reshape(n_seeds * n_epochs)
    return table[["seed", "epoch", *MEASURED]]


def means(table: pd.DataFrame) -> pd.DataFrame:
    """The mean of every measure after each epoch: columns epoch, n, and each with its low and high end.

    95 % bootstrap intervals over seeds. table: as `by_seed` has it.
    """
    rows = []
    for epoch, ones in table.groupby("epoch"):
        row = {"epoch": epoch, "n": len(ones)}
        for name in MEASURED:
            interval = asdict(bootstrap_interval(ones[name].to_numpy()))
            row |= {name: interval["estimate"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
        rows.append(row)
    return pd.DataFrame(rows)


def best_epochs(table: pd.DataFrame) -> pd.Series:
    """The epoch of each seed after which its canary's held-out loss is lowest, where early stopping would end."""
    return table.loc[table.groupby("seed")["held_out_loss"].idxmin()].set_index("seed")["epoch"]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """What is said of the epochs in the text: columns quantity, estimate, low, high, n."""
    best, rows = best_epochs(table), table.set_index(["seed", "epoch"])
    at_best = rows.loc[list(best.items())]
    last = rows.loc[[(seed, table["epoch"].max()) for seed in best.index]]
    quantities = {
        "best epoch": best.to_numpy(float),
        "contrast at the best epoch": at_best["contrast"].to_numpy(),
        "contrast after the last epoch": last["contrast"].to_numpy(),
        "last less best epoch": last["contrast"].to_numpy() - at_best["contrast"].to_numpy(),
        "contrast after the first epoch": rows.xs(1, level="epoch")["contrast"].to_numpy(),
    }
    for name in ("plain", "letter", "control"):
        quantities[f"{name} host after the last epoch"] = last[name].to_numpy()
    return pd.DataFrame([{"quantity": name} | asdict(bootstrap_interval(ones)) for name, ones in quantities.items()])


def first_above_zero(averages: pd.DataFrame) -> str:
    """From which epoch on the interval of the mean contrast stays above zero, in words."""
    below = averages.loc[~(averages["contrast_low"] > 0), "epoch"]
    first = 1 if below.empty else int(below.max()) + 1
    return f"from epoch {first} on" if first <= averages["epoch"].max() else "not by the last epoch"
