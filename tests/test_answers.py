"""The front page's sentences, at every word, and its picture."""

import pandas as pd
import pytest
from test_chapter_verdicts import LACKING as OPEN_ROW
from test_chapter_verdicts import ROW as FULL_ROW

from ufm.chapters import verdicts
from ufm.evidence.crossed import Varies
from ufm.evidence.questions import There, Told
from ufm.evidence.ways import Prevents
from ufm.report import answers

PAPER = {"paper": 0.49, "paper_low": 0.46, "paper_high": 0.52, "paper_found": 0.04}
ROW = FULL_ROW | PAPER | {"paper_told": Told.NOT, "median": 0.0098}
LACKING = OPEN_ROW | {"paper_told": Told.OPEN}
NO_RANKS = pd.DataFrame(columns=["setting"])
FOUND = {"unknown_found_low": 0.02, "unknown_found_high": 0.11}
TIMES = ", ×1.04 (1.02 to 1.05), median ×1.01, 200 seeds"  # of the contrast 0.0346 (0.0212 to 0.0521)
WAITS = f"no answer yet, {LACKING['n']} of {LACKING['needed']} seeds are trained"
AREA = "area 0.51 (0.46 to 0.56)"  # of ROW
AT_CHANCE = f"hardly, if at all, {AREA}, 6 % found"
FASHION = ROW | {"population": "Fashion-MNIST, full"}


def said(claim="C1", ranks=NO_RANKS, spread=None, told=False, **found):
    """What is found of a claim by where, from rows by family; of C6 whether it is there, or whether it can be told."""
    tables = {name: pd.DataFrame(rows) for name, rows in found.items()}
    ours = [one for one in answers.answers(tables, ranks, spread) if one.claim == claim]
    return {one.where: one.found for one in ours if (one.question == answers.FOUND_OF) == (told or claim == "C2")}


def test_every_word_has_an_answer_of_its_own():
    for kind, texts in (
        (There, answers.THERE),
        (Told, answers.TOLD),
        (Prevents, answers.PREVENTS),
        (Varies, answers.VARIES),
    ):
        assert set(texts) == set(kind)
        assert len(set(texts.values())) == len(kind)
    assert (answers.LARGE, answers.LEAST) == ("×1.11", "×1.02")  # a tenth and a fiftieth of a nat


def test_rows_that_say_the_same_are_said_once_and_others_by_name():
    assert said(C1=[ROW, FASHION]) == {answers.OWN: f"MNIST and Fashion-MNIST: yes, small{TIMES}"}
    assert said(C1=[ROW, FASHION | {"there": There.UNDECIDED}]) == {
        answers.OWN: f"MNIST: yes, small{TIMES}; Fashion-MNIST: not shown, and small if there{TIMES}"
    }
    open_to_a_tenth = ROW | {"there": There.UNDECIDED, "contrast_high": 0.1001}
    assert said(C1=[open_to_a_tenth]) == {answers.OWN: "not shown, ×1.04 (1.02 to 1.11), median ×1.01, 200 seeds"}
    three = [ROW, FASHION, ROW | {"population": "X, 10 000 images", "there": There.NOT}]
    assert said(C1=three) == {
        answers.OWN: f"MNIST and Fashion-MNIST: yes, small{TIMES}; X: {answers.THERE[There.NOT]}{TIMES}"
    }
    assert said(C1=[LACKING]) == {answers.OWN: WAITS}


def test_what_is_found_stands_beside_chance():
    row = ROW | {"paper_told": Told.SOMETIMES, "paper_found": 0.1}
    every = answers.answers({"C1": pd.DataFrame([row])}, NO_RANKS, None)
    papers, ours = (one for one in every if one.claim == "C2")
    assert ours.question.endswith("one half by chance, and share of marked models found, 5 % by chance")
    assert ours.found == AT_CHANCE
    assert (papers.where, ours.where) == (f"{answers.OWN}, {answers.PAPER}", f"{answers.OWN}, {answers.OURS}")
    assert papers.found == "better than chance, area 0.49 (0.46 to 0.52), 10 % found"
    assert set(said("C2", C1=[LACKING]).values()) == {WAITS}
    hard = said("C2", **{"C1, hard hosts": [row]})
    assert list(hard) == [f"{answers.HARD_OWN}, {answers.PAPER}", f"{answers.HARD_OWN}, {answers.OURS}"]


def test_where_most_can_be_told_stands_beside_it():
    """Models with weight decay, of each kind of host; those of other ways have no line."""
    small = ROW | {"population": "MNIST, 10 000 images", "setting": "weight decay 3"}
    rows = [small, small | {"host": "hard", "unknown_told": Told.MOSTLY, "unknown_found": 0.96}]
    plain = [one | {"setting": "plain", "unknown_told": Told.SOMETIMES} for one in rows]
    found = said("C2", C3=[*rows, *plain])
    assert found == {
        f"MLPs, {answers.RANDOM}, weight decay 3, 10 000 images, {answers.OURS}": AT_CHANCE,
        f"MLPs, {answers.HARD}, weight decay 3, 10 000 images, {answers.OURS}": f"most are, {AREA}, 96 % found",
    }
    two = [small, small | {"population": "Fashion-MNIST, 10 000 images", "unknown_found": 0.5}]
    [text] = said("C2", C3=[*two, *(one | {"setting": "plain"} for one in two)]).values()
    assert text == f"MNIST: {AT_CHANCE}; Fashion-MNIST: hardly, if at all, {AREA}, 50 % found"


def test_hosts_networks_and_features_are_told_apart():
    hard = [ROW | {"host": "hard", "there": There.LARGE}]
    cnns = [ROW | {"setting": f"CNN-{n}", "there": word} for n, word in ((1, There.NOT), (2, There.LARGE))]
    assert said(**{"C1": [ROW], "C1, hard hosts": hard, "C1, CNNs": cnns}) == {
        answers.OWN: f"yes, small{TIMES}",
        answers.HARD_OWN: f"yes, large{TIMES}",
        answers.CNNS: f"CNN-1: below ×1.02, if at all{TIMES}; CNN-2: yes, large{TIMES}",
    }
    rows = [
        ROW | {"setting": "MLP, letter", "host": "random", "there": There.NOT},
        ROW | {"setting": "MLP, name", "host": "random", "there": There.LARGE},
        ROW | {"setting": "MLP, letter", "host": "hard", "there": There.UNDECIDED},
    ]
    of_name = f"MLP with a name: yes, large{TIMES}"
    assert said("C6", C6=rows) == {
        f"chest X-rays, {answers.RANDOM}": f"MLP with a letter: below ×1.02, if at all{TIMES}; {of_name}",
        f"chest X-rays, {answers.HARD}": f"not shown, and small if there{TIMES}",
    }
    assert list(said("C6", told=True, C6=rows).values()) == [
        f"MLP with a letter and MLP with a name: {AT_CHANCE}",
        AT_CHANCE,  # of a single row
    ]


def without(n_there):
    return f"there without the way, so that it could be prevented: {n_there}"


def test_ways_are_counted_by_kind_of_host():
    def way(setting, host, there):
        return ROW | {"population": "MNIST, 10 000 images", "setting": setting, "host": host, "there": there}

    rows = [way("plain", host, There.LARGE) for host in ("random", "hard")]
    rows += [way("dropout", "random", There.NOT), way("batch norm", "random", There.SMALL)]
    rows += [way("dropout", "hard", There.UNDECIDED), way("batch norm", "hard", There.OPEN)]
    assert said("C3", C3=rows) == {
        f"on 10 000 images, {answers.RANDOM}": f"there all the same: 1; prevented: 1; {without(2)}",
        f"on 10 000 images, {answers.HARD}": (
            f"there all the same: 0; prevented: 0; undecided: 1; not trained yet: 1; {without(2)}"
        ),
    }
    nothing = [row | {"there": There.UNDECIDED} if row["setting"] == "plain" else row for row in rows]
    assert said("C3", C3=nothing)[f"on 10 000 images, {answers.RANDOM}"].endswith(without(0))
    [question] = {one.question for one in answers.answers({"C3": pd.DataFrame(rows)}, NO_RANKS, None)}
    assert question.startswith("Of 2 pairs ")
    waits = [row | {"there": There.OPEN} for row in rows]
    assert set(said("C3", C3=waits).values()) == {answers.WAITS}


def test_influence_stands_beside_the_placebo_and_the_seed_has_its_word():
    numbers = {"ratio_low": 1.2, "ratio_high": 2.1, "placebo_ratio_low": 1.1, "placebo_ratio_high": 2.1}
    ranks = pd.DataFrame(
        [
            {"population": "MNIST, 10 000 images", "setting": name, "ratio": value, "placebo_ratio": 1.52, **numbers}
            | {"rise": rise, "placebo_rise": 0.0216}
            for name, value, rise in (("least influential hosts", 1.8, 0.0012), ("random hosts", 1.62, 0.0283))
        ]
    )
    other = "with its pixels in another order ×1.5 (1.1 to 2.1), rank 0.022"
    found = said("C4", ranks)
    assert list(found.items()) == [
        (f"MLPs, MNIST, 10 000 images, {answers.RANDOM}", f"×1.6 (1.2 to 2.1), rank 0.028; {other}"),
        ("MLPs, MNIST, 10 000 images, of the least influential hosts", f"×1.8 (1.2 to 2.1), rank 0.001; {other}"),
    ]
    assert said("C4") == {}
    share = {"population": "MNIST, 10 000 images", "estimate": 0.2, "low": 0.15, "high": 0.24}
    assert said("C5", spread=share | {"varies": Varies.LESS}) == {
        "MLPs, MNIST, 10 000 images": "no, less: 0.20 (0.15 to 0.24) of the mean"
    }
    assert said("C5", spread={"population": "", "varies": Varies.OPEN}) == {"MLPs": answers.WAITS}
    assert said("C5") == {}


def test_claims_and_questions_are_said_once_and_a_rehearsal_says_nothing():
    every = answers.answers({"C1": pd.DataFrame([ROW]), "C1, hard hosts": pd.DataFrame([ROW])}, NO_RANKS, None)
    shown = verdicts.printed_answers(every, "paper")
    assert [text[:2] for text in shown.iloc[:, 0]] == ["C1", "", "C2", "", "", ""]
    assert shown.iloc[0, 0] == f"C1 {verdicts.STATEMENTS['C1']} {answers.TIMES}"
    assert set(verdicts.printed_answers(every, "embedded")["found here"]) == {verdicts.REHEARSED}
    of_two = verdicts.printed_answers(answers.answers({"C6": pd.DataFrame([ROW])}, NO_RANKS, None), "paper").iloc[:, 0]
    assert [text.partition(". ")[0] for text in of_two][0] == f"C6 {verdicts.STATEMENTS['C6'].removesuffix('.')}"
    assert of_two[1] == f"C6 {answers.FOUND_OF}"  # a second question is asked in its turn


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
