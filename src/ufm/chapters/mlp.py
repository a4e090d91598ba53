"""The published label-unknown score M of canaries beside that of their controls, on populations."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from ufm.evidence import Cards, contrasts
from ufm.evidence.controls import scores_by_role
from ufm.measures.layout import INPUTS
from ufm.statistics import bootstrap_interval, columns, correlation_interval, share_interval

MEANS = ("canaries", "controls", "difference")  # of M, and of canary less control of the same seed
SHARES = ("positive", "positive_controls", "above")  # M > 0 of canaries and of controls; canary above its control


def pairs(cards: Cards, host: str, inputs: str) -> pd.DataFrame:
    """Score M in nats of each seed's canary on a kind of host, and of its control: columns seed, canary, control.

    inputs: "normalised" or "raw".
    """
    table = scores_by_role(cards)
    score = "memorisation" if inputs == INPUTS[0] else f"memorisation_{inputs}"
    found = {
        role: table[(table["role"] == role) & (table["host"] == where)].set_index("seed")[score]
        for role, where in (("canary", host), ("control", ""))
    }
    return pd.DataFrame(found).reset_index()


def scores(cards: Cards) -> pd.DataFrame:
    """A row a kind of host and scoring input: columns host, inputs, n, correlation, and the means and shares above.

    The correlation is that of canary and control over seeds. All but n have a low and a high end: of bootstrap
    intervals over seeds for means and the correlation, of Clopper–Pearson ones for shares.
    """
    rows = []
    for host in cards.protocol.hosts:
        for inputs in INPUTS:
            table = pairs(cards, host, inputs)
            canary, control = table["canary"].to_numpy(), table["control"].to_numpy()
            intervals = dict(zip(MEANS, map(bootstrap_interval, (canary, control, canary - control)), strict=True))
            shares = (canary > 0, control > 0, canary > control)
            intervals |= dict(zip(SHARES, map(share_interval, shares), strict=True))
            intervals["correlation"] = correlation_interval(canary, control)
            rows.append({"host": host, "inputs": inputs, "n": len(table)} | columns(intervals))
    return pd.DataFrame(rows)


def models(cards: Cards) -> pd.DataFrame:
    """How good the models are, a row a role and kind of host.

    Columns: role, host, n; accuracy (on test images that early stopping did not see) and epoch (the best one), each
    with its low and high end.
    """
    rows = []
    for (role, host), table in cards.models.fillna({"host": ""}).groupby(["role", "host"], sort=False):
        intervals = {
            "accuracy": bootstrap_interval(table["accuracy"].to_numpy(float)),
            "epoch": bootstrap_interval(table["best_epoch"].to_numpy(float)),
        }
        rows.append({"role": role, "host": host, "n": len(table)} | columns(intervals))
    return pd.DataFrame(rows)


def distances(cards: Cards, host: str) -> dict[str, dict[str, float]]:
    """How far one changed image moves a training: mean distance of canary and control, by what is compared."""
    table = cards.models.fillna({"host": ""})
    found = {}
    for name, column in {"accuracy": "accuracy", "best epoch": "best_epoch"}.items():
        ours = [
            table[(table["role"] == role) & (table["host"] == where)].set_index("seed")[column].astype(float)
            for role, where in (("canary", host), ("control", ""))
        ]
        found[name] = asdict(bootstrap_interval(np.abs(ours[0] - ours[1]).to_numpy()))
    return found


def of_hosts(cards: Cards) -> pd.DataFrame:
    """`pairs` with normalised inputs on every kind of host, with a first column `host`."""
    tables = [pairs(cards, host, INPUTS[0]).assign(host=host) for host in cards.protocol.hosts]
    return pd.concat(tables, ignore_index=True)[["host", "seed", "canary", "control"]]


def contrasts_by_host(populations: Mapping[str, Cards]) -> dict[str, pd.DataFrame]:
    """Each seed's contrast D in nats by population: columns seed, setting (the kind of host), contrast."""
    return {
        cards.title: pd.concat(
            [
                pd.DataFrame({"seed": cards.seeds, "setting": host, "contrast": contrasts(cards, host)})
                for host in cards.protocol.hosts
            ],
            ignore_index=True,
        )
        for cards in populations.values()
    }
