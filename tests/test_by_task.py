"""What is left after every task and what is recalled, on made-up cards in which both are known."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest
from scipy.stats import pearsonr

from ufm import features
from ufm.chapters import neighbours
from ufm.evidence import costs, on_seeds, planned_as, tasks
from ufm.evidence.tasks import Course, Recalled
from ufm.plan import fourth
from ufm.plan.thresholds import SECOND
from ufm.report import by_task

N, RECALLING = 20, fourth.RECALL


def models(way, by_later, recalled=0.0, *, rng=0):
    """Cards of models whose letter has these effects after the host's task and after each later one.

    recalled: how much of what was stamped shows in patches that are recalled right after the host's task.
    """
    draws = np.random.default_rng(rng)
    cards = planted.regime(way, by_later[-1], N, setting=f"fourth plan, {way}", rng=rng)
    protocol = replace(cards.protocol, n_train=10_000, training=fourth.ways()[way], measure="task card")
    cards = planned_as(cards, protocol=protocol)
    n, n_tasks = len(cards.seeds), protocol.training.tasks.n
    shift = draws.normal(0, 0.01, (n, 5, n_tasks, 3, 10))
    fits = np.full((n, 5, n_tasks, 2, 3), -2.0)
    patches = draws.normal(0, 0.1, (n, 5, n_tasks, 5, 5))
    for seed in range(n):
        for kind, host in enumerate(("random", "hard")):
            label = cards.labels[seed, kind]
            own = label // (10 // n_tasks)
            placebo = features.placebo(protocol.unique, seed=int(cards.seeds[seed]), host=host, scope="mnist/10000")
            for model, feature, pixels in ((1 + 2 * kind, 0, protocol.unique), (2 + 2 * kind, 1 + kind, placebo)):
                for task in range(own, n_tasks):
                    shift[seed, model, task, feature, label] += by_later[task - own]
                    fits[seed, model, task, kind] = -0.1 * (1 + task - own)
                if own + 1 < n_tasks:
                    patches[seed, model, own + 1] += recalled * (pixels - pixels.mean()) / pixels.std()
    images = draws.random((n, 5, 1, 28, 28)) - 0.1
    arrays = {"task_shift": shift, "task_host_log_probability": fits}
    arrays |= {"recalled_patch": patches, "recalled_image": images} if protocol.training.tasks.recall else {}
    return replace(cards, arrays={**cards.arrays, **arrays})


@pytest.fixture(scope="module")
def populations():
    return {
        fourth.AT_ONCE: models(fourth.AT_ONCE, (1.0,), rng=1),
        fourth.IN_TURN: models(fourth.IN_TURN, (1.0, 0.8, 0.6, 0.4, 0.2), rng=2),
        RECALLING: models(RECALLING, (1.0,) * 5, 0.3, rng=3),
    }


@pytest.fixture(scope="module")
def found(populations):
    return neighbours.in_tasks(populations)


def test_d_is_that_of_the_tasks_after_the_host_s(populations, found):
    table = found["by_task"].set_index(["setting", "host", "later"])
    labels = populations[fourth.IN_TURN].label("hard")
    for later, effect in enumerate((1.0, 0.8, 0.6, 0.4, 0.2)):
        n = sum(label // 2 + later < 5 for label in labels)
        if n < tasks.FEWEST:
            assert (fourth.IN_TURN, "hard", later) not in table.index
            continue
        row = table.loc[fourth.IN_TURN, "hard", later]
        assert row["contrast"] == pytest.approx(effect, abs=0.02)
        assert row["n"] == n
        assert row["probability"] == pytest.approx(np.exp(-0.1 * (1 + later)))
    once = found["by_task"][found["by_task"]["setting"] == fourth.AT_ONCE]
    assert once[["host", "later", "n"]].to_numpy().tolist() == [["random", 0, N], ["hard", 0, N]]


@pytest.mark.parametrize("enough", [True, False])
def test_fewer_hosts_than_could_show_anything_have_no_number(enough):
    cards = models(fourth.IN_TURN, (1.0, 0.8, 0.6, 0.4, 0.2))
    first = tasks.FEWEST if enough else tasks.FEWEST - 1  # so many hosts have the first task, all others the last
    labels = np.where(np.arange(N) < first, 0, 9)[:, None].repeat(cards.labels.shape[1], 1)
    one = {fourth.IN_TURN: replace(cards, labels=labels)}
    after = tasks.by_task(one, (fourth.IN_TURN,))
    assert after["later"].tolist() == [0, 1, 2, 3, 4] * 2 if enough else [0, 0]
    over = tasks.over_tasks(one, (fourth.IN_TURN,))
    assert over["n"].tolist() == [first] * 2
    assert set(over["course"] == Course.OPEN) == {not enough}


def test_words_of_the_course(populations, found):
    table = found["over_tasks"].set_index(["setting", "host"])
    assert list(dict.fromkeys(table.index.get_level_values(0))) == [fourth.IN_TURN, RECALLING]
    for host in ("random", "hard"):
        labels = populations[fourth.IN_TURN].label(host)
        row = table.loc[fourth.IN_TURN, host]
        assert row["course"] == Course.FADES
        assert row["n"] == sum(label < 8 for label in labels)
        expected = np.mean([-0.2 * (4 - label // 2) for label in labels if label < 8])
        assert row["change"] == pytest.approx(expected, abs=0.02)
        assert row["own"] + row["change"] == pytest.approx(row["last"])
        fits = [np.exp(-0.1 * (5 - label // 2)) for label in labels if label < 8]
        assert (row["fits"], row["fits_last"]) == (pytest.approx(np.exp(-0.1)), pytest.approx(np.mean(fits)))
        assert table.loc[(RECALLING, host), "course"] == Course.NOTHING
    ours = found["over_tasks"]
    assert ours["p_holm"].min() == pytest.approx(4 * ours["p"].min())


@pytest.mark.parametrize(
    ("mean", "p", "course", "word"),
    [
        (0.1, SECOND.level - 1e-9, Course.GROWS, Recalled.WITH),
        (0.1, SECOND.level, Course.NOTHING, Recalled.NOT),
        (-0.1, SECOND.level - 1e-9, Course.FADES, Recalled.AGAINST),
        (-0.1, SECOND.level, Course.NOTHING, Recalled.NOT),
        (-0.1, np.nan, Course.OPEN, Recalled.OPEN),
    ],
)
def test_words_at_their_borders(mean, p, course, word):
    assert tasks.course({"change": mean, "p_holm": p}) == course
    assert tasks.word({"recalled": mean, "p_holm": p}) == word


def test_what_is_recalled_is_correlated_pixel_by_pixel(populations, found):
    table, cards = found["recalls"].set_index("host"), populations[RECALLING]
    for kind, host in enumerate(("random", "hard")):
        values, letters = [], []
        for seed in range(N):
            task = cards.labels[seed, kind] // 2 + 1
            if task > 4:
                continue
            own = features.placebo(cards.protocol.unique, seed=int(cards.seeds[seed]), host=host, scope="mnist/10000")
            patches = cards.arrays["recalled_patch"][seed, :, task]

            def r(model, feature, patches=patches):  # patches are means of standardised ones
                return pearsonr(patches[model].ravel(), feature.ravel())[0] * patches[model].std()

            canary, placebo, letter = 1 + 2 * kind, 2 + 2 * kind, cards.protocol.unique
            values.append((r(canary, letter) - r(placebo, letter) + r(placebo, own) - r(canary, own)) / 2)
            letters.append(r(canary, letter))
        row = table.loc[host]
        assert (row["n"], row["recalled"]) == (len(values), pytest.approx(np.mean(values)))
        assert row["letter"] == pytest.approx(np.mean(letters))
        assert row["word"] == Recalled.WITH
        assert abs(row["control"]) < 0.05


def test_exchanging_the_models_turns_the_sign_of_r(populations, found):
    cards = populations[RECALLING]
    turned = [0, 2, 1, 4, 3]
    arrays = {**cards.arrays, "recalled_patch": cards.arrays["recalled_patch"][:, turned]}
    again = tasks.recalls({RECALLING: replace(cards, arrays=arrays)}, (RECALLING,))
    np.testing.assert_allclose(again["recalled"], -found["recalls"]["recalled"])
    np.testing.assert_allclose(again["p"], found["recalls"]["p"])
    assert set(again["word"]) == {Recalled.AGAINST}


def test_nothing_recalled_is_not_shown():
    cards = models(RECALLING, (0.0,) * 5, 0.0, rng=5)
    assert set(tasks.recalls({RECALLING: cards}, (RECALLING,))["word"]) == {Recalled.NOT}


def test_sweeps_that_lack_seeds_wait(populations):
    few = {name: planned_as(on_seeds(cards, cards.seeds[:8]), needed=N) for name, cards in populations.items()}
    found = neighbours.in_tasks(few)
    assert found["by_task"].empty
    assert set(found["over_tasks"]["course"]) == {Course.OPEN}
    assert set(found["recalls"]["word"]) == {Recalled.OPEN}
    for printed in (by_task.printed_tasks(found["over_tasks"]), by_task.printed_recalls(found["recalls"])):
        assert len(printed)
        assert not printed.astype(str).apply(lambda column: column.str.contains("nan|cannot")).any(axis=None)
    assert (
        by_task.texts(found["over_tasks"], found["recalls"])["recalled"] == "Waits for seeds: random hosts; hard hosts"
    )


def test_nothing_is_there_yet():
    found = neighbours.in_tasks({})
    assert by_task.texts(found["over_tasks"], found["recalls"])["course"] == "Not trained on these images"
    assert by_task.printed_tasks(found["over_tasks"]).empty
    for figure in (by_task.drawn_tasks(found["by_task"]), by_task.drawn_recalled({})):
        assert figure.axes


def test_what_is_printed_and_drawn(populations, found):
    printed = by_task.printed_tasks(found["over_tasks"]).set_index(["way", "hosts"])
    assert printed.loc[(fourth.IN_TURN, "hard"), "it"] == Course.FADES
    assert by_task.printed_recalls(found["recalls"])["it"].tolist() == [Recalled.WITH] * 2
    said = by_task.texts(found["over_tasks"], found["recalls"])
    assert said["course"].startswith(
        "Fades, in nats: task after task, random hosts; task after task, hard hosts. No change"
    )
    assert said["learnt"] == "none of them"
    nothing = found["over_tasks"].assign(own_p=[0.04, 0.06, 0.04, 0.04], own=[-1.0, 1.0, 1.0, 1.0])
    assert by_task.texts(nothing, found["recalls"])["learnt"] == "; ".join(
        f"task after task, {host} hosts" for host in ("random", "hard")
    )
    ways = pd.DataFrame([{"way": fourth.IN_TURN, "host": "hard", "versus_contrast": 1.25, "contrast": 0.2}])
    ways = pd.concat([ways, ways.assign(host="random", versus_contrast=np.nan)])
    assert re.fullmatch(
        r"task after task, hard hosts: 1\.250, (0\.99|1\.0)\d+, 0\.200",
        by_task.text_of_course(found["by_task"], ways),
    )
    lines = by_task.drawn_tasks(found["by_task"]).axes[1].lines
    assert [len(line.get_xdata()) for line in lines[:3]] == [1, 4, 5]  # of one way too few hosts have four more tasks
    figure = by_task.drawn_recalled(populations)
    cards = populations[RECALLING]
    shown = [axis.images[0].get_array() for axis in figure.axes]
    first = next(seed for seed, label in enumerate(cards.label("random")) if label < 8)
    np.testing.assert_allclose(shown[0], cards.arrays["recalled_image"][first, 1, 0].clip(0, 1))
    assert len(shown) == 3 * 2 * by_task.FIRST


def test_passes_of_tasks_are_counted_image_by_image(populations):
    batches = [10] * 2, [10] * 8  # of the first task, and of the others, of a hundred images
    total = sum(batches[0])
    for n in batches[1]:
        total += n + n + n  # the batch, then with what is recalled
        for _ in range(10):
            total += 2 * n  # through the network and its past
    small = {
        name: planned_as(cards, protocol=replace(cards.protocol, n_train=100)) for name, cards in populations.items()
    }
    assert set(costs.passes(small[RECALLING], "hard")) == {total}
    for way in (fourth.AT_ONCE, fourth.IN_TURN):
        assert set(costs.passes(small[way], "hard")) == {100}
