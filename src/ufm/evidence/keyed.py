"""What is told of networks that read encoded images by those who have the key, and by those who have not."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ufm.evidence import costs
from ufm.evidence.cards import Cards, without_key
from ufm.evidence.cells import corrected
from ufm.evidence.effects import contrasts
from ufm.evidence.questions import AUDITORS, audited, met, there
from ufm.plan.second import regime
from ufm.statistics import bootstrap_interval, bootstrap_t_interval, columns, sign_flip_test

WITH, WITHOUT = "with the key", "without it"
ASKED = ("unknown", "known")  # of `AUDITORS`, those that a keyless card can say


def by_key(populations: Mapping[str, Cards], encoded: str, unencoded: str) -> pd.DataFrame:
    """Models of two settings, those that read encoded images twice: a row a population, who asks and kind of host.

    Columns: population, models (setting, and whether with the key), keyed (`WITH`, `WITHOUT`, or nothing where there is
    no key), host, n, needed, and where no seeds are lacking contrast (mean D, nats), p, for each of `ASKED` those of
    `ufm.evidence.questions.audited`, accuracy (of the stamped models), each estimate's ends with _low and _high; of
    those without the key p_holm, over their rows, and there.
    """
    cards = {(one.trained_on, regime(one.sweep)): one for one in populations.values()}
    rows = []
    for population in dict.fromkeys(name for name, _ in cards):
        plain, own = (cards.get((population, setting)) for setting in (unencoded, encoded))
        if plain is not None:
            rows += rows_of(plain, unencoded, "")
        if own is not None:
            rows += rows_of(own, encoded, WITH) + rows_of(without_key(own), encoded, WITHOUT)
    fixed = ["population", "models", "keyed", "host", "n", "needed"]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys([*fixed, *(name for row in rows for name in row)])))
    if "p" in table:
        keyless = table["keyed"] == WITHOUT
        table.loc[keyless, "p_holm"] = corrected(table.loc[keyless, "p"], planned=True)
        table["there"] = [there(row) if row["keyed"] == WITHOUT else "" for row in table.to_dict("records")]
    return table


def rows_of(cards: Cards, setting: str, keyed: str) -> list[dict[str, object]]:
    """The rows of a population as one who asks sees it."""
    models = ", ".join(filter(None, (setting, keyed)))
    what = {"population": cards.trained_on, "models": models, "keyed": keyed, "needed": cards.needed}
    return [
        what | {"host": host, "n": len(cards.seeds)} | (seen(cards, host) if cards.complete else {})
        for host in cards.protocol.hosts
    ]


def seen(cards: Cards, host: str) -> dict[str, float]:
    """The numbers of one row."""
    own = contrasts(cards, host, epoch="control")
    row = columns({"contrast": bootstrap_t_interval(own)}) | {"p": sign_flip_test(own)}
    for auditor in ASKED:
        found = audited(cards.seeds, met(cards, host, AUDITORS[auditor]))
        row |= {f"{auditor}{end}": value for end, value in found.items()}
    return row | columns({"accuracy": bootstrap_interval(accuracies(cards, host))})


def accuracies(cards: Cards, host: str) -> np.ndarray:
    """Accuracy (n_seeds,) of the stamped models of a kind of host, on images that are encoded as who asks encodes."""
    if "accuracy" not in cards.arrays:
        return costs.accuracies(cards, host)
    return cards.arrays["accuracy"][:, [cards.model(role, host) for role in cards.protocol.roles]].mean(1)
