"""The third plan: what is trained, and that its page, its tables and its code say the same."""

import re
from dataclasses import fields, replace
from math import isnan

import pytest

from ufm import paths
from ufm.plan import many_marks, registry, second, third
from ufm.plan.thresholds import SECOND
from ufm.protocol import Training
from ufm.statistics import epsilon_bound

PAGE = (paths.BOOK / "third-plan.md").read_text(encoding="utf-8")
# Of the noises for an epsilon of 1, 3, 10 and 30, by the accountants of dp-accounting 0.6.0: that of privacy loss
# distributions, which is tight, and that of Rényi divergences, for 7900 steps at a rate of 0.0128, delta 1e-5.
ELSEWHERE = {4.375: (0.9861, 1.0781), 1.748: (2.9874, 3.2445), 0.857: (9.9862, 10.8437), 0.579: (29.8929, 33.4397)}


def table(name: str) -> list[list[str]]:
    """The rows of a table of `benchmarks`, its head left away."""
    lines = (paths.BOOK / "benchmarks" / f"{name}.md").read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("|")][2:]


def test_ways_are_beside_plain_models_of_the_second_plan():
    assert set(third.sweeps("paper")) <= set(registry.sweeps())
    sweeps = third.beside_plain("paper")
    assert set(third.REHEARSED) < set(third.ways())
    assert len(sweeps) == 2 * 22
    for name, sweep in sweeps.items():
        plain = second.small("paper", sweep.protocol.dataset)[f"{sweep.protocol.dataset}-small-second-plan-plain"]
        assert set(sweep.seeds) <= set(plain.seeds), name
        private = sweep.protocol.training.private is not None
        assert sweep.needed == len(sweep.seeds) == (12 if private else 20)
        changed = [
            one.name
            for one in fields(sweep.protocol)
            if getattr(sweep.protocol, one.name) != getattr(plain.protocol, one.name)
        ]
        assert changed == ["training", "measure"], name
        attacked = private and sweep.protocol.dataset in third.ATTACKED["paper"]
        assert sweep.protocol.measure == ("robust card" if attacked else "compact card")
    for dataset in third.DATASETS["paper"]:
        trained = [sweep.protocol.training for sweep in sweeps.values() if sweep.protocol.dataset == dataset]
        assert len(set(trained)) == 22


def test_the_page_says_what_is_trained():
    said = set()
    for line in PAGE.splitlines():
        cell = line.strip("| ").split(" | ")[0]
        noises = re.findall(r"[\d.]+", cell) if cell.startswith("private, noise") else []
        said |= {f"private, noise {noise}" for noise in noises} or set(cell.split(", "))
    assert set(third.ways()) <= said
    assert "twenty-two ways" in PAGE
    assert len(third.ways()) == 22
    assert f"to the norm {third.CLIP:g}" in PAGE
    assert "all hundred epochs" in PAGE
    assert {sweep.protocol.training.epochs for sweep in third.sweeps("paper").values()} == {100}
    assert SECOND.smallest == 0.02


def test_noises_have_the_epsilons_that_the_page_says():
    rows = {float(noise): tuple(map(float, found)) for noise, *found in table("epsilon")}
    assert tuple(rows) == third.NOISES
    assert {noise: of[0] for noise, of in rows.items()} == third.EPSILONS
    for wanted, (noise, (tight, by_divergences)) in zip((1, 3, 10, 30), ELSEWHERE.items(), strict=True):
        ours = rows[noise]
        assert ours[0] == pytest.approx(wanted, rel=0.015)
        assert 0.999 * tight <= ours[0] <= 1.02 * tight  # an upper bound, printed with three digits
        assert ours[1] == pytest.approx(by_divergences, rel=0.03)


def test_an_epsilon_is_said_of_the_plans_own_steps_alone():
    ways = third.ways()
    assert third.epsilon(ways["private, noise 0.857"], 10_000) == 10.0
    assert isnan(third.epsilon(ways["private, noise 0.857"], 60_000))
    longer = replace(ways["private, noise 0.857"], epochs=200)
    assert isnan(third.epsilon(longer, 10_000))
    for way, training in ways.items():
        promised = third.epsilon(training, 10_000)
        assert isnan(promised) == (not way.startswith("private")), way  # with clipping alone there is no bound
    tighter = replace(ways["private, noise 0.857"].private, clip=0.5)
    assert isnan(third.epsilon(replace(ways["private, noise 0.857"], private=tighter), 10_000))


def test_a_rehearsal_changes_what_the_plan_changes():
    small = third.beside_plain("embedded")
    assert [second.regime(sweep) for sweep in small.values()] == list(third.REHEARSED)
    plain = second.small_population("embedded", "digits")
    for sweep in small.values():
        training = sweep.protocol.training
        assert replace(sweep.protocol, training=plain.training, measure=plain.measure) == plain
        way = third.ways()[second.regime(sweep)]
        assert (training.private, training.label_smoothing) == (way.private, way.label_smoothing)
        assert (training.epochs, training.precision) == (plain.training.epochs, "float64")


@pytest.mark.parametrize("profile", ["embedded", "paper"])
def test_private_models_with_many_marks_are_beside_plain_ones_of_that_plan(profile):
    shown = {name: registry.sweeps(profile)[name] for name in registry.chapter("prevention", profile)}
    marked = {name: sweep for name, sweep in shown.items() if sweep.protocol.lot is not None}
    plain, *others = marked.values()
    assert plain == many_marks.sweeps(profile)[next(iter(marked))]
    assert len(others) == {"embedded": 3, "paper": 10}[profile]
    for sweep in others:
        way = third.ways()[second.regime(sweep).removesuffix(", many marks")]
        assert replace(sweep.protocol, training=plain.protocol.training) == plain.protocol
        assert sweep.protocol.training.private == way.private is not None
        assert set(sweep.seeds) <= set(plain.seeds)
    assert plain.protocol.lot.labels == "wrong"
    assert (plain.protocol.lot.n, len(others[0].seeds)) == {"embedded": (10, 8), "paper": (300, 5)}[profile]


def test_no_more_can_be_excluded_than_the_page_says():
    n = third.MARKED["paper"].marks
    guesses = 2 * -(-n // 4)
    assert f"carry {n} marks" in PAGE
    assert f"none above {epsilon_bound(guesses, guesses, n, delta=third.DELTA):.1f} could be" in PAGE


def test_plain_models_have_the_seeds_of_the_ways_beside_them():
    planned = {name: registry.sweeps()[name] for name in registry.chapter("prevention", "paper")}
    beside = third.side_by_side(planned)
    plain = [sweep for sweep in beside.values() if second.regime(sweep) == second.PLAIN]
    assert [sweep.seeds for sweep in plain] == [third.SEEDS["paper"]] * 2
    assert {sweep.needed for sweep in plain} == {20}
    rows = third.rows(beside)
    assert len(rows) == 2 * 2 * (1 + len(third.ways()))
    private = {way for way, training in third.ways().items() if training.private}
    assert len(private) == 10
    assert {(row.setting in private, row.needed) for row in rows} == {(True, 12), (False, 20)}
    assert "20 a row, private training 12" in PAGE
    assert "the first twelve seeds" in PAGE
    assert "five seeds, two models each" in PAGE


def test_the_learning_rate_has_the_lowest_stopping_loss():
    for dataset in third.DATASETS["paper"]:
        losses = {float(row[1]): float(row[2]) for row in table("private") if row[0] == dataset}
        assert min(losses, key=losses.get) == Training().learning_rate
