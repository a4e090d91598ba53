"""The chapter on the paper's neighbours, on made-up cards in which it is known what each way does."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest

from ufm import paths
from ufm.chapters import attacked, neighbours
from ufm.evidence import contrasts, costs, keyed, on_seeds, planned_as
from ufm.evidence.effects import LETTER
from ufm.evidence.forgotten import AT_CONTROL
from ufm.evidence.regimes import scaled_contrasts
from ufm.evidence.ways import Change, Prevents, side_by_side
from ufm.plan import fourth
from ufm.report import by_key, by_picture, by_population, by_task, by_way, gradients
from ufm.report.texts import REHEARSED

HOSTS = ["random", "hard"]
# What a letter does to its host under each way, what stamped models get right, how probable they find the host's label
# and in how many steps they forgot it.
MADE_UP = {
    "plain": (1.0, 0.95, 0.9, 0),
    fourth.ASCENT: (-0.1, 0.80, 0.1, 7),  # so that nothing is shown to be there
    fourth.KEPT: (0.5, 0.94, 0.3, 1_000),
    fourth.L2UL: (1.0, 0.94, 0.4, 50),
    fourth.WITHOUT: (0.0, 0.95, 0.7, 0),
}
FINE_TUNED = {fourth.TUNED: (1.2, 0.95), fourth.ADV_BN: (0.6, 0.94), fourth.FROM_SCRATCH: (0.5, 0.93)}


def models(way, effect, accuracy, probability, steps, n_seeds=20, *, title="MNIST, 10 000 images", rng=0):
    """Cards of models of a way; plain ones have four seeds more. Controls get two thirds right."""
    plan, n_seeds = ("second plan", n_seeds + 4) if way == "plain" else ("fourth plan", n_seeds)
    cards = planted.regime(way, effect, n_seeds, title=title, setting=f"{plan}, {way}", rng=rng)
    training = fourth.ways().get(way, cards.protocol.training)
    protocol = replace(cards.protocol, n_train=10_000, training=training)
    cards = planned_as(cards, protocol=protocol, seeds=range(1000, 1000 + n_seeds))
    cards.fits[:, :, AT_CONTROL, :, LETTER] = np.log(probability)
    rows = cards.models.assign(epochs=20, forgetting_steps=steps, forgetting_steps_at_control=steps)
    return replace(cards, models=rows.assign(accuracy=np.where(rows["role"] == "control", 2 / 3, accuracy)))


def found(populations):
    """Questions, ways and hosts of populations by the name of their sweep."""
    planned = fourth.side_by_side({name: cards.sweep for name, cards in populations.items()})
    cards = side_by_side(populations, planned)
    questions = neighbours.asked(cards, planned)
    return questions, neighbours.became(cards, questions), neighbours.on_hosts(cards)


@pytest.fixture(scope="module")
def populations():
    return {way: models(way, *what, rng=rng) for rng, (way, what) in enumerate(MADE_UP.items())}


@pytest.fixture(scope="module")
def three(populations):
    return found(populations)


@pytest.fixture(scope="module")
def questions(three):
    return three[0]


@pytest.fixture(scope="module")
def ways(three):
    return three[1]


@pytest.fixture(scope="module")
def hosts(three):
    return three[2]


def test_words_are_those_of_ways(ways):
    of = ways.set_index(["way", "host"])
    assert list(dict.fromkeys(ways["way"])) == list(fourth.SYSTEMS["L2UL"])  # and none of models without their hosts
    for host in ("random", "hard"):
        # The letter does nothing elsewhere; made-up canaries lack their host's label on hard hosts without it.
        word = {"random": Prevents.PREVENTS, "hard": Prevents.ON_HOST}[host]
        assert of.loc[(fourth.ASCENT, host), "prevents"] == word
        assert of.loc[(fourth.ASCENT, host), "change"] == Change.REDUCES
        assert of.loc[(fourth.KEPT, host), "prevents"] == Prevents.NOT
        assert of.loc[(fourth.KEPT, host), "change"] == Change.REDUCES
        assert of.loc[(fourth.L2UL, host), "change"] == Change.NOTHING
    assert set(ways["versus"]) == {"plain"}
    assert set(ways["system"]) == {"L2UL"}


def test_a_system_is_corrected_by_itself(populations, questions, monkeypatch):
    assert len(questions) == 2 * 4
    assert questions["p_holm"].min() == pytest.approx(8 * questions["p"].min())
    twice = {"L2UL": fourth.SYSTEMS["L2UL"], "another": (fourth.KEPT,)}
    monkeypatch.setattr(fourth, "SYSTEMS", twice)
    again, changed, _ = found(populations)
    first = again[again["system"] == "L2UL"]
    assert first["p_holm"].tolist() == questions["p_holm"].tolist()
    other = again[again["system"] == "another"]
    assert other["setting"].tolist() == ["plain", "plain", fourth.KEPT, fourth.KEPT]
    assert (other["p_holm"].to_numpy() < first[first["setting"].isin(other["setting"])]["p_holm"].to_numpy()).any()
    assert changed[["system", "way"]].drop_duplicates().to_numpy().tolist()[-1] == ["another", fourth.KEPT]


def test_accuracy_is_that_of_models_that_forgot_one_host(questions, ways):
    accuracy = questions.groupby("setting")["accuracy"].first()
    assert accuracy.to_dict() == pytest.approx({way: MADE_UP[way][1] for way in accuracy.index})
    cost = ways.groupby("way")["cost"].first()
    assert cost.to_dict() == pytest.approx({way: MADE_UP[way][1] - 0.95 for way in cost.index})


def test_passes_are_counted_image_by_image(populations, ways):
    def counted(way):
        forgetting, total = fourth.ways()[way].forgetting, 20 * 10_000
        for _ in range(forgetting.adversarial):
            total += forgetting.iterations
        for _ in range(MADE_UP[way][3]):
            total += 1 + forgetting.adversarial
        return total + (1 if forgetting.importance else 0)

    for way in fourth.SYSTEMS["L2UL"]:
        assert set(costs.passes(populations[way], "hard")) == {counted(way)}
    assert counted(fourth.L2UL) == 200_000 + 2_000 + 50 * 21 + 1
    shares = ways.groupby("way")["passes"].first()
    assert shares.to_dict() == pytest.approx({way: counted(way) / 200_000 for way in shares.index})
    assert set(costs.passes(populations["plain"], "random")) == {200_000}


def test_hosts_are_compared_with_models_that_never_saw_them(hosts):
    of = hosts.set_index(["setting", "host"])
    assert list(dict.fromkeys(hosts["setting"])) == list(MADE_UP)
    for way, (effect, _, probability, _) in MADE_UP.items():
        row = of.loc[way, "hard"]
        assert row["probability"] == pytest.approx(probability)
        assert row["effect"] == pytest.approx(0.9 * effect - 1, abs=0.1)  # null of ones; the mean over classes is gone
        if way != fourth.WITHOUT:
            assert row["more"] == pytest.approx(probability - 0.7)
            assert row["louder"] == pytest.approx(0.9 * effect, abs=0.1)
    assert np.isnan(of.loc[(fourth.WITHOUT, "hard"), "more"])
    assert of.loc[(fourth.L2UL, "hard"), ["fitted", "forgotten"]].tolist() == [20, 20]
    assert of.loc[(fourth.KEPT, "hard"), ["fitted", "forgotten"]].tolist() == [20, 0]  # all steps were taken
    printed = neighbours.printed_hosts(hosts).set_index(["models", "hosts"])["forgotten"]
    assert printed["plain", "hard"] == printed[fourth.WITHOUT, "hard"] == "–"
    assert printed[fourth.L2UL, "random"] == "20 of 20"


def test_models_without_their_hosts_have_no_placebo(populations, hosts):
    """As they are trained: control and canary of each kind of host."""
    whole = populations[fourth.WITHOUT]
    kept = [whole.model("control"), whole.model("canary", "random"), whole.model("canary", "hard")]
    arrays = {name: values[:, kept] for name, values in whole.arrays.items()}
    fits, rows = whole.fits[:, kept], whole.models[whole.models["role"] != "placebo"]
    fewer = replace(whole, arrays=arrays, fits=fits, models=rows)
    fewer = planned_as(fewer, protocol=replace(whole.protocol, roles=("canary",)))
    questions, ways, again = found(populations | {fourth.WITHOUT: fewer})
    pd.testing.assert_frame_equal(again, hosts)
    assert len(questions) == 8
    assert len(ways) == 6


def test_perturbations_are_compared_with_fine_tuning_alone(populations):
    of_system = {way: models(way, *what, 0.9, 0, rng=9) for way, what in FINE_TUNED.items()}
    planned = fourth.side_by_side({name: cards.sweep for name, cards in (populations | of_system).items()})
    cards = side_by_side(populations | of_system, planned)
    table = neighbours.perturbed(cards).set_index("host")
    for host in ("random", "hard"):
        one, other = (scaled_contrasts(of_system[way], host)["nats"] for way in (fourth.ADV_BN, fourth.TUNED))
        assert table.loc[host, "nats"] == pytest.approx(np.mean(one - other))
        assert table.loc[host, "change"] == Change.REDUCES
    assert table["nats_p_holm"].min() == pytest.approx(2 * table["nats_p"].min())
    said = neighbours.text_of_perturbed(neighbours.perturbed(cards), "paper")
    assert said.startswith("MNIST, random hosts: −0.")
    assert said.endswith("nats, reduces")
    assert neighbours.text_of_perturbed(neighbours.perturbed(cards), "embedded") == REHEARSED.capitalize()
    for lacking in (populations, {fourth.ADV_BN: of_system[fourth.ADV_BN]}):
        assert neighbours.text_of_perturbed(neighbours.perturbed(lacking), "paper") == "Not recorded yet"
    few = planned_as(on_seeds(of_system[fourth.ADV_BN], range(1012)), needed=20)
    waiting = neighbours.perturbed(cards | {fourth.ADV_BN: few})
    assert set(waiting["change"]) == {Change.OPEN}
    assert neighbours.text_of_perturbed(waiting, "paper") == "Not recorded yet"
    _, ways, _ = found(populations | of_system)
    ours = ways[ways["system"] == "AdvBN"]
    assert set(ours["versus"]) == {"plain"}
    assert ours.groupby("way")["cost"].first().to_dict() == pytest.approx(
        {way: accuracy - 0.95 for way, (_, accuracy) in FINE_TUNED.items()}
    )
    # Twenty epochs of training, twenty of fine-tuning; each step takes an image back eight times, or twice.
    passes = {fourth.TUNED: 1 + 2, fourth.ADV_BN: 1 + 8, fourth.FROM_SCRATCH: 8}
    assert ours.groupby("way")["passes"].first().to_dict() == pytest.approx(passes)
    questions, ways, _ = found(populations | of_system)
    assert by_way.texts(ways, questions)["without"].count("plain, hard hosts") == 1


def test_every_system_has_its_row(ways):
    printed = neighbours.printed_systems(ways)
    assert list(dict.fromkeys(printed["system"])) == list(fourth.SYSTEMS)
    for system, words in neighbours.APART.items():
        assert not fourth.SYSTEMS[system]
        assert printed.set_index("system").loc[system, "so it"] == words
    missing = printed[printed["so it"] == neighbours.NOT_HERE]
    ours = set(fourth.SYSTEMS) - {fourth.L2UL} - set(neighbours.APART)
    assert set(missing["system"]) == ours
    assert set(missing["mean D, nats"]) == {"–"}
    row = printed.set_index(["way", "hosts"]).loc[(fourth.L2UL, "hard")]
    assert row["less plain"].startswith("−0.0100")
    assert row["passes, over plain"].startswith("1.02")
    assert row["so it"] == Prevents.NOT


def test_what_reads_codes_is_compared_with_what_reads_patches(populations):
    """And not with plain models, of which there are more seeds."""
    of, nothing = (
        ways[ways["system"] == "Syfer"].set_index("host")
        for ways in (found(populations | planted.keyed(effects=some))[1] for some in ((1.0, 0.5, 0.0), (0.0, 0.0, 0.0)))
    )
    assert set(of["way"]) == {fourth.ENCODED}
    assert set(of["versus"]) == {fourth.PATCHES}
    assert set(of["n"]) == {12}
    assert (of["nats"] < -0.3).all()
    assert set(of["change"]) == {Change.REDUCES}
    assert set(of["prevents"]) == {Prevents.NOT}
    assert set(nothing["prevents"]) == {Prevents.UNDECIDED}  # there was nothing to prevent


def test_ways_that_lack_seeds_wait(populations):
    few = planned_as(on_seeds(populations[fourth.L2UL], range(1012)), needed=20)
    _, ways, hosts = found(populations | {fourth.L2UL: few})
    of = ways.set_index(["way", "host"])
    assert of.loc[(fourth.L2UL, "hard"), "prevents"] == Prevents.OPEN
    assert of.loc[(fourth.KEPT, "hard"), "change"] == Change.REDUCES
    assert np.isnan(of.loc[(fourth.L2UL, "hard"), "cost"])
    for printed in (neighbours.printed_systems(ways), neighbours.printed_hosts(hosts)):
        assert not printed.astype(str).apply(lambda column: column.str.contains("nan|cannot")).any(axis=None)
    assert neighbours.texts(hosts, "paper")["probable"] == "Not recorded yet"


def test_nothing_is_trained_yet(populations):
    planned = fourth.side_by_side({name: cards.sweep for name, cards in populations.items()})
    plain = side_by_side({"plain": populations["plain"]}, planned)
    questions = neighbours.asked(plain, planned)
    ways = neighbours.became(plain, questions)
    hosts = neighbours.on_hosts(plain)
    assert set(ways["prevents"]) == {Prevents.OPEN}
    assert set(neighbours.printed_systems(ways)["passes, over plain"]) == {"–"}
    assert neighbours.printed_hosts(hosts)["models"].tolist() == ["plain", "plain"]
    assert by_population.summary(by_way.quantities(ways)).empty
    assert by_way.texts(ways, questions)["changed"].startswith("Waits for seeds: ascent alone; ascent, adversarial")
    for figure in (neighbours.drawn_hosts(hosts), by_way.drawn_ways(questions, smallest=0.02, large=0.1)):
        assert figure.axes


def test_the_text_says_how_probable_hosts_are(hosts):
    said = neighbours.texts(hosts, "paper")
    assert "MNIST, hard hosts: plain 0.90, L2UL 0.40, trained without hosts 0.70; L2UL less without" in said["probable"]
    rows = neighbours.printed_hosts(hosts)
    [done] = rows[(rows["models"] == fourth.L2UL) & (rows["hosts"] == "hard")]["forgotten"]
    assert f"; forgotten {done}" in said["probable"]
    assert " of " in done
    assert neighbours.texts(hosts, "embedded")["probable"] == REHEARSED.capitalize()


def test_d_stands_apart_for_hosts_that_were_forgotten(populations):
    """The canaries of odd seeds took all their steps in vain."""
    forgetting = populations[fourth.L2UL]
    most, rows = forgetting.protocol.training.forgetting.steps, forgetting.models
    vain = (rows["role"] == "canary") & (rows["seed"] % 2 == 1) & (rows["host"] == "hard")
    steps = rows["forgetting_steps_at_control"].mask(vain, most)
    half = replace(forgetting, models=rows.assign(forgetting_steps_at_control=steps))
    table = neighbours.by_outcome(populations | {fourth.L2UL: half})
    hard = table.set_index("host").loc["hard"]
    assert hard[["n_forgotten", "n_left"]].tolist() == [10, 10]
    for name, cards in (("plain", populations["plain"]), ("with", half)):
        d = contrasts(on_seeds(cards, half.seeds), "hard", epoch="control")
        odd = half.seeds % 2 == 1
        assert hard[[f"{name}_forgotten", f"{name}_left"]].tolist() == pytest.approx([d[~odd].mean(), d[odd].mean()])
    said = neighbours.text_of_outcomes(table, "paper")
    assert re.search(r"random hosts: 20 forgotten from \S+ to \S+ nats\. MNIST, hard hosts: 10 forgotten from", said)
    assert re.search(r"nats, 10 not forgotten from \S+ to \S+ nats$", said)
    assert neighbours.text_of_outcomes(table, "embedded") == REHEARSED.capitalize()
    nothing = neighbours.by_outcome({"plain": populations["plain"]})
    assert neighbours.text_of_outcomes(nothing, "paper") == "Not recorded yet"


def pictured(way, left, n_seeds=8, *, aside=0.0, title="MNIST, 10 000 images"):
    """Models of a way of whose letter so much is left, and that changes pictures beside it by so much."""
    cards = models(way, 0.0, 0.9, 0.9, 0, n_seeds, title=title)
    rng, shape = np.random.default_rng(n_seeds), (len(cards.seeds), 5, 1, 28, 28)
    over, given = np.zeros(shape), np.full(shape, 50.0)
    for canary, placebo in ((1, 2), (3, 4)):
        letter = rng.integers(2, size=(len(cards.seeds), 1, 5, 5)) * 255
        over[:, canary, ..., 1:6, 1:6], over[:, placebo, ..., 1:6, 1:6] = letter, 255 - letter
        for role in (canary, placebo):
            given[:, role, ..., 1:6, 1:6] += left * (over[:, role, ..., 1:6, 1:6] - 127.5)
        given[:, canary, ..., 20:25, 20:25] += aside * 255
    return replace(cards, arrays={**cards.arrays, "image_handed_over": over, "image_given": given})


def test_what_is_left_of_the_letter_in_pictures():
    margin, looser = list(fourth.ANONYMISED)[1:]
    every = {"a": pictured(margin, 0.25), "b": pictured(looser, 0.0, aside=1.0), "c": models("plain", 1.0, 0.9, 0.9, 0)}
    table = neighbours.in_pictures(every)
    assert table[["setting", "host"]].to_numpy().tolist() == [[way, h] for way in (margin, looser) for h in HOSTS]
    assert table["left"].tolist() == pytest.approx([0.25, 0.25, 0.0, 0.0])
    assert table["moved"].tolist() == pytest.approx([0.25, 0.25, 1.0, 1.0])  # as much as the letter, elsewhere
    printed = by_picture.printed_pictures(table)
    assert printed["left of the letter"].str[:4].tolist() == ["0.25", "0.25", "0.00", "0.00"]
    said = by_picture.texts(table, "paper")["left"]
    assert said.startswith(f"{margin}, random hosts: 0.25")
    assert f"{looser}, hard hosts: 0.00" in said
    assert by_picture.texts(table, "embedded") == {"left": REHEARSED.capitalize()}


def test_pictures_that_lack_seeds_wait():
    few = {"a": planned_as(pictured("FALCO, margin 0", 0.5), needed=20)}
    for every in (few, {}):
        table = neighbours.in_pictures(every)
        assert by_picture.texts(table, "paper")["left"] == by_picture.NOT_RECORDED
        assert list(by_picture.printed_pictures(table)) == ["population", "models", "hosts", *by_picture.SHOWN.values()]
        assert len(by_picture.drawn_pictures(every, fourth.SYSTEMS["FALCO"]).axes) == 1


def test_pictures_are_those_of_the_first_seeds():
    every = {"a": pictured("FALCO, margin 0", 0.5)}
    figure = by_picture.drawn_pictures(every, fourth.SYSTEMS["FALCO"])
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert len(shown) == 2 * by_picture.SHOWN_SEEDS
    for place, name in enumerate(("image_handed_over", "image_given")):
        first = every["a"].arrays[name][:5, 3, 0]  # canaries on hard hosts
        np.testing.assert_allclose(shown[place * 5 : place * 5 + 5], first)
    assert [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()] == ["handed over", "FALCO,\nmargin 0"]


def test_every_text_of_the_page_is_there(questions, ways, hosts):
    page = (paths.NOTEBOOKS / "neighbours.md").read_text(encoding="utf-8")
    there = (
        by_way.texts(ways, questions).keys()
        | neighbours.texts(hosts, "paper").keys()
        | gradients.texts(pd.DataFrame(), "paper").keys()
        | {"seeds", "smallest", "perturbed", "outcomes", "three"}
    )
    there |= by_key.texts(keyed.by_key({}, fourth.ENCODED, fourth.PATCHES), "paper").keys()
    in_tasks = neighbours.in_tasks({})
    there |= by_task.texts(in_tasks["over_tasks"], in_tasks["recalls"]).keys()
    there |= attacked.texts(attacked.became({}), "paper").keys()
    there |= by_picture.texts(neighbours.in_pictures({}), "paper").keys()
    assert set(re.findall(r"{glue:text}`(\w+)`", page)) <= there


def drawn(some):
    """Hosts of as many data sets as populations."""
    every = {
        f"{one.title}, {way}": models(way, *what, 12, title=one.title) for way, what in MADE_UP.items() for one in some
    }
    return [found(every)[2]]


# What its figures are drawn from, given populations (tests/test_figures.py).
DRAWN = {"drawn_hosts": drawn}
