"""The front page's sentences, at every word, and its picture."""

import pandas as pd
import pytest
from test_chapter_verdicts import LACKING as OPEN_ROW
from test_chapter_verdicts import ROW as FULL_ROW

from ufm.chapters import verdicts
from ufm.evidence.crossed import Varies
from ufm.evidence.questions import There, Told
from ufm.evidence.ways import Prevents
from ufm.plan.thresholds import SECOND
from ufm.report import answers

ROW = FULL_ROW | {"paper_told": Told.NOT, "paper_found": 0.04}
LACKING = OPEN_ROW | {"paper_told": Told.OPEN}
NO_RANKS = pd.DataFrame(columns=["setting"])
FOUND = {"unknown_found_low": 0.02, "unknown_found_high": 0.11}
TIMES = ", ×1.04 (1.02 to 1.05)"  # of the contrast 0.0346 (0.0212 to 0.0521)
FASHION = ROW | {"population": "Fashion-MNIST, full"}


def said(claim="C1", ranks=NO_RANKS, spread=None, told=False, **found):
    """What is found of a claim by where, from rows by family; of C6 whether it is there, or whether it can be told."""
    tables = {name: pd.DataFrame(rows) for name, rows in found.items()}
    ours = [one for one in answers.answers(tables, ranks, spread) if one.claim == claim]
    return {
        one.where: one.found for one in ours if one.question.startswith("Can it be told") == (told or claim == "C2")
    }


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
    assert said(C1=[ROW, FASHION]) == {answers.OWN: f"MNIST and Fashion-MNIST: yes, by less than a tenth{TIMES}"}
    assert said(C1=[ROW, FASHION | {"there": There.UNDECIDED}]) == {
        answers.OWN: f"MNIST: yes, by less than a tenth{TIMES}; Fashion-MNIST: neither shown nor excluded{TIMES}"
    }
    three = [ROW, FASHION, ROW | {"population": "X, 10 000 images", "there": There.NOT}]
    assert said(C1=three) == {
        answers.OWN: f"MNIST and Fashion-MNIST: yes, by less than a tenth{TIMES}; X: {answers.THERE[There.NOT]}{TIMES}"
    }
    assert said(C1=[LACKING]) == {answers.OWN: answers.WAITS}


def test_what_is_found_stands_beside_chance():
    row = ROW | {"paper_told": Told.SOMETIMES, "paper_found": 0.1}
    every = answers.answers({"C1": pd.DataFrame([row])}, NO_RANKS, None)
    ours, papers = (one for one in every if one.claim == "C2")
    assert "where chance is 5 %" in ours.question
    assert ours.found == "not shown to be better than chance (6 %)"
    assert (papers.where, papers.found) == (answers.BY_THE_PAPER, "better than chance (10 %)")
    assert set(said("C2", C1=[LACKING]).values()) == {answers.WAITS}


def test_hosts_networks_and_features_are_told_apart():
    hard = [ROW | {"host": "hard", "there": There.LARGE}]
    cnns = [ROW | {"setting": f"CNN-{n}", "there": word} for n, word in ((1, There.NOT), (2, There.LARGE))]
    assert said(**{"C1": [ROW], "C1, hard hosts": hard, "C1, CNNs": cnns}) == {
        answers.OWN: f"yes, by less than a tenth{TIMES}",
        answers.HARD_OWN: f"yes, by more than a tenth{TIMES}",
        answers.CNNS: f"CNN-1: by less than a fiftieth, if at all{TIMES}; CNN-2: yes, by more than a tenth{TIMES}",
    }
    rows = [
        ROW | {"setting": "MLP, letter", "host": "random", "there": There.NOT},
        ROW | {"setting": "MLP, name", "host": "random", "there": There.LARGE},
        ROW | {"setting": "MLP, letter", "host": "hard", "there": There.UNDECIDED},
    ]
    of_name = f"MLP with a name: yes, by more than a tenth{TIMES}"
    assert said("C6", C6=rows) == {
        f"chest X-rays, {answers.RANDOM}": f"MLP with a letter: by less than a fiftieth, if at all{TIMES}; {of_name}",
        f"chest X-rays, {answers.HARD}": f"neither shown nor excluded{TIMES}",
    }
    chance = "not shown to be better than chance (6 %)"
    assert list(said("C6", told=True, C6=rows).values()) == [
        f"MLP with a letter and MLP with a name: {chance}",
        chance,  # of a single row
    ]


def test_ways_are_counted_by_kind_of_host():
    def way(setting, host, there):
        return ROW | {"population": "MNIST, 10 000 images", "setting": setting, "host": host, "there": there}

    rows = [way("plain", host, There.LARGE) for host in ("random", "hard")]
    rows += [way("dropout", "random", There.NOT), way("batch norm", "random", There.SMALL)]
    rows += [way("dropout", "hard", There.UNDECIDED), way("batch norm", "hard", There.OPEN)]
    assert said("C3", C3=rows) == {
        f"on 10 000 images, {answers.RANDOM}": "there all the same: 1; prevented: 1",
        f"on 10 000 images, {answers.HARD}": "there all the same: 0; prevented: 0; undecided: 1; not trained yet: 1",
    }
    [question] = {one.question for one in answers.answers({"C3": pd.DataFrame(rows)}, NO_RANKS, None)}
    assert question.startswith("Of 2 pairs ")
    waits = [row | {"there": There.OPEN} for row in rows]
    assert set(said("C3", C3=waits).values()) == {answers.WAITS}


def test_influence_stands_beside_the_placebo_and_the_seed_has_its_word():
    ranks = pd.DataFrame(
        [
            {"population": "MNIST, 10 000 images", "setting": name, "ratio": value, "ratio_low": 1.2, "ratio_high": 2.1}
            | {"placebo_ratio": 1.52, "placebo_ratio_low": 1.1, "placebo_ratio_high": 2.1}
            for name, value in (("least influential hosts", 1.8), ("random hosts", 1.62))
        ]
    )
    text = "1.6 (1.2 to 2.1) times; 1.5 (1.1 to 2.1) times with its pixels in another order, which occur once too"
    assert said("C4", ranks) == {f"on 10 000 images, {answers.RANDOM}": text}
    assert said("C4") == {}
    share = {"estimate": 0.2, "low": 0.15, "high": 0.24}
    assert said("C5", spread=share | {"varies": Varies.LESS}) == {
        "on one image": "no, less: 0.20 (0.15 to 0.24) of the mean"
    }
    assert said("C5", spread={"varies": Varies.OPEN}) == {"on one image": answers.WAITS}
    assert said("C5") == {}


def test_claims_and_questions_are_said_once_and_a_rehearsal_says_nothing():
    every = answers.answers({"C1": pd.DataFrame([ROW]), "C1, hard hosts": pd.DataFrame([ROW])}, NO_RANKS, None)
    shown = verdicts.printed_answers(every, "paper")
    assert [text[:2] for text in shown.iloc[:, 0]] == ["C1", "", "C2", "", ""]
    assert shown.iloc[0, 0] == f"C1 {verdicts.STATEMENTS['C1']} {answers.ODDS}"
    assert set(verdicts.printed_answers(every, "embedded")["found here"]) == {verdicts.REHEARSED}
    of_two = verdicts.printed_answers(answers.answers({"C6": pd.DataFrame([ROW])}, NO_RANKS, None), "paper").iloc[:, 0]
    assert [text.partition(" ")[0] for text in of_two] == ["C6", "Can"]  # a second question is asked in its turn


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
