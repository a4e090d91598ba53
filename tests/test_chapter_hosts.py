"""The chapter Hosts, from rows small enough to work by hand."""

from math import nan

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import evidence
from ufm.chapters import hosts
from ufm.evidence import cells
from ufm.report import by_population
from ufm.study.runs import NotYetRun

ONE = {"estimate": 0.4666, "low": 0.346, "high": 0.5849, "n": 30}
CELL = {"population": "a", "host": "hard", **ONE, "p": 1e-5, "p_holm": 4e-5, "early": 0.25, "early_low": 0.125}
CELL |= {"early_high": 0.5, "detectable": 0.0213, "seeds_for_half": 395, "verdict": "memorised"}
CELL |= {"in_words": "memorised, by less than matters"}


def by_host(*, learnt, contrasts, losses):
    n = len(contrasts)
    return pd.DataFrame(
        {"seed": range(n), "host": "hard", "contrast": contrasts, "clean_loss": losses, "learnt": learnt}
    )


def test_quantities_by_hand():
    table = by_host(learnt=[True, False, False, False], contrasts=[4.0, 1, 2, 3], losses=[1.0, 2, 3, 4])
    found = hosts.quantities(pd.DataFrame([CELL]), {"a": table})
    estimates = {name: rows["a"] for name, rows in found.items()}
    assert len(found) == len(estimates) == 4
    [contrast] = [row for name, row in estimates.items() if name.startswith("contrast") and "not" not in name]
    assert contrast["estimate"] == CELL["estimate"]
    [share] = [row for name, row in estimates.items() if name.startswith("learnt")]
    assert (share["estimate"], share["n"]) == (0.25, 4)
    [missed] = [row for name, row in estimates.items() if "not learnt" in name]
    assert (missed["estimate"], missed["n"]) == (2, 3)
    [rank] = [row for name, row in estimates.items() if "rank" in name]
    assert rank["estimate"] == pytest.approx(1 - 6 * (9 + 1 + 1 + 1) / (4 * 15))  # 1 − 6 Σd² / n(n² − 1)
    assert np.isnan(rank["low"])


@pytest.mark.parametrize(
    ("learnt", "losses", "lacking"),
    [
        ([True] * 4, [1.0, 2, 3, 4], "not learnt"),
        ([True, True, True, False], [1.0, 2, 3, 4], "not learnt"),  # of one host there is no interval
        ([True, False, False, False], [nan] * 4, "rank"),
        ([True, False, False, False], [1.0, 2, nan, nan], "rank"),
    ],
)
def test_quantities_leave_out_what_too_few_hosts_say(learnt, losses, lacking):
    table = by_host(learnt=learnt, contrasts=[4.0, 1, 2, 3], losses=losses)
    found = by_population.summary(hosts.quantities(pd.DataFrame([CELL]), {"a": table}))
    assert len(found) == 3
    assert not found["quantity"].str.contains(lacking).any()


def test_exploratory_cells_stand_beside_what_their_own_canaries_learnt():
    populations = {
        "one": planted.cards(24, effect=1.0, share_learnt=0.8, title="Digits"),
        "other": planted.cards(8, share_learnt=0.1, rng=1, title="MNIST", setting="middling hosts"),
    }
    table = hosts.printed_exploratory(cells.contrast_cells(populations), populations)
    shares = [evidence.learnt(cards, host).mean() for cards in populations.values() for host in ("random", "hard")]
    assert table["population"].tolist() == ["Digits"] * 2 + ["MNIST"] * 2
    assert [text.split()[0] for text in table["learnt"]] == [f"{share:.2f}" for share in shares]
    assert not table.astype(str).apply(lambda column: column.str.contains("nan", case=False)).any(axis=None)


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_contrasts": lambda some: [planted.each(some, evidence.by_host)]}
DRAWN_WITH = {"drawn_contrasts": {"x": "gain", "labels": ("gain", "D"), "threshold": 1.0}}


def test_without_a_usual_population_the_page_is_not_yet_run():
    with pytest.raises(NotYetRun, match="have too few seeds yet"):
        hosts.quantities(pd.DataFrame(), {})
