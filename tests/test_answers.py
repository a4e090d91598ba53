"""The front page's sentences, at every word, and its picture."""

import pandas as pd
import pytest
from test_chapter_verdicts import LACKING, ROW

from ufm.evidence.crossed import Varies
from ufm.evidence.questions import There, Told
from ufm.evidence.regimes import Prevents
from ufm.plan.thresholds import SECOND
from ufm.report import answers

NO_RANKS = pd.DataFrame(columns=["setting"])
FOUND = {"unknown_found_low": 0.02, "unknown_found_high": 0.11}
FASHION = ROW | {"population": "Fashion-MNIST, full"}


def said(claim="C1", ranks=NO_RANKS, spread=None, **found):
    """The answer to a claim, from rows by family; an underscore stands for a comma."""
    tables = {name.replace("_", ", "): pd.DataFrame(rows) for name, rows in found.items()}
    return answers.answers(tables, ranks, spread).get(claim)


def test_every_word_has_an_answer_of_its_own():
    for kind, texts in (
        (There, answers.THERE),
        (Told, answers.TOLD),
        (Prevents, answers.PREVENTS),
        (Varies, answers.VARIES),
    ):
        assert set(texts) == set(kind)
        assert len(set(texts.values())) == len(kind)
    assert (SECOND.large, SECOND.smallest) == (0.1, 0.02)  # a tenth and a fiftieth, as the answers say


def test_rows_that_say_the_same_are_said_once_and_others_by_name():
    both = [ROW, FASHION]
    assert said(C1=both) == f"{answers.ODDS} Image drawn at random, as in the paper: yes, by less than a tenth."
    assert said(C1=[ROW, FASHION | {"there": There.UNDECIDED}]).endswith(
        "MNIST yes, by less than a tenth; Fashion-MNIST neither shown nor excluded."
    )
    three = [ROW, FASHION, ROW | {"population": "X, small", "there": There.NOT}]
    assert said(C1=three).endswith(
        "MNIST and Fashion-MNIST yes, by less than a tenth; X by less than a fiftieth, if at all."
    )
    assert said(C1=[LACKING]).endswith("as in the paper: not all models are trained yet.")


def test_what_is_found_stands_beside_chance():
    text = said("C2", C1=[ROW])
    assert "where chance is 5 %?" in text
    assert text.endswith("no, or little better than by chance (6 %).")
    assert said("C2", C1=[LACKING]).endswith("not all models are trained yet.")


def test_hosts_networks_and_features_are_told_apart():
    hard = [ROW | {"host": "hard", "there": There.LARGE}]
    cnns = [ROW | {"setting": f"CNN-{n}", "there": word} for n, word in ((1, There.NOT), (2, There.LARGE))]
    text = answers.answers(
        {"C1": pd.DataFrame([ROW]), "C1, hard hosts": pd.DataFrame(hard), "C1, CNNs": pd.DataFrame(cnns)},
        NO_RANKS,
        None,
    )["C1"]
    assert "Image that is hard to fit: yes, by more than a tenth." in text
    assert text.endswith("CNNs: CNN-1 by less than a fiftieth, if at all; CNN-2 yes, by more than a tenth.")
    rows = [
        ROW | {"setting": "MLP, letter", "host": "random", "there": There.NOT},
        ROW | {"setting": "MLP, name", "host": "random", "there": There.LARGE},
        ROW | {"setting": "MLP, letter", "host": "hard", "there": There.UNDECIDED},
    ]
    assert said("C6", C6=rows).endswith(
        "MLP with a letter by less than a fiftieth, if at all; MLP with a name yes, by more than a tenth. "
        "Image that is hard to fit: neither shown nor excluded."
    )


def test_ways_are_counted_by_kind_of_host():
    def way(setting, host, there):
        return ROW | {"setting": setting, "host": host, "there": there}

    rows = [way("plain", host, There.LARGE) for host in ("random", "hard")]
    rows += [way("dropout", "random", There.NOT), way("batch norm", "random", There.SMALL)]
    rows += [way("dropout", "hard", There.UNDECIDED), way("batch norm", "hard", There.OPEN)]
    assert said("C3", C3=rows) == (
        "Of 2 pairs of a way and a data set how many prevent it? Image drawn at random, as in the paper: 1 do not "
        "prevent it and 1 prevent it. Image that is hard to fit: 1 are undecided and 1 wait for models."
    )
    waits = [row | {"there": There.OPEN} for row in rows]
    assert said("C3", C3=waits).count(answers.WAITS) == 2


def test_influence_stands_beside_the_placebo_and_the_seed_has_its_word():
    ranks = pd.DataFrame(
        [
            {"setting": name, "ratio": value, "placebo_ratio": 1.52}
            for name, value in (("least influential hosts", 1.8), ("random hosts", 1.62))
        ]
    )
    text = said("C4", ranks)
    assert "1.6 times as large" in text
    assert "1.5 times with the letter's pixels in another order" in text
    assert said("C4") is None
    assert said("C5", spread={"varies": Varies.LESS}).endswith("is less than a quarter of the mean.")
    assert said("C5") is None


def test_the_picture_has_a_line_a_model_and_what_is_found():
    row = ROW | FOUND
    hard = [row | {"host": "hard", "canary_with": 0.75, "canary_without": 0.2}]
    figure = answers.picture({"C1": pd.DataFrame([row, LACKING]), "C1, hard hosts": pd.DataFrame(hard)})
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["MNIST,\nrandom host", "MNIST,\nhard host"]
    ends = [list(line.get_xdata()) for line in left.lines]
    assert ends[3] == [0.2, 0.75]  # from without the letter to with it
    assert len(ends) == 2 * 3
    assert list(right.lines[0].get_xdata()) == pytest.approx([2, 11])
    assert right.collections[0].get_offsets()[0, 0] == pytest.approx(6.5)
    assert list(right.lines[-1].get_xdata()) == [5, 5]
    assert len(answers.picture({}).axes) == 2
