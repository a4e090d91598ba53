"""The fourth plan: what is trained, and that its page and its code say the same."""

import re
from dataclasses import fields, replace

import numpy as np
import pytest

from ufm import paths
from ufm.evidence import questions
from ufm.evidence.attacked import Robust
from ufm.measures.attacks import STEPS, STRIDE
from ufm.measures.layout import ATTACKED as ATTACKED_IMAGES
from ufm.measures.layout import ATTACKS, NORMS, RADII
from ufm.plan import attacked, fourth, registry, second, third
from ufm.plan.thresholds import ATTACKED, SECOND
from ufm.protocol import AdvBN, Forgetting, Recall, Tasks, hosts

PAGE = (paths.BOOK / "fourth-plan.md").read_text(encoding="utf-8")


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the page's table whose head begins with a word."""
    [found] = [part for part in text.split("\n\n") if part.startswith(f"| {first} ")]
    return [line.strip("| ").split(" | ") for line in found.splitlines()][2:]


def test_ways_are_beside_plain_models_of_the_second_plan():
    sweeps = fourth.sweeps("paper")
    assert set(sweeps) <= set(registry.sweeps())
    assert [second.regime(sweep) for sweep in sweeps.values()] == list(fourth.ways())
    plain = second.small("paper", "mnist")["mnist-small-second-plan-plain"]
    for name, sweep in sweeps.items():
        assert set(sweep.seeds) <= set(plain.seeds), name
        assert sweep.needed == len(sweep.seeds) == (12 if second.regime(sweep) in fourth.READERS else 20)
        changed = {
            one.name
            for one in fields(sweep.protocol)
            if getattr(sweep.protocol, one.name) != getattr(plain.protocol, one.name)
        }
        also = {"without-hosts": {"training", "roles"}, "placebo-aside": {"aside", "measure"}}
        usual = {"training", "aside", "measure"} if "visualmixer" in name else {"training"}
        training = sweep.protocol.training
        usual |= {"measure"} if training.adv_bn or training.tasks or training.falco else set()
        readers = {"model", "training", "found_at", "measure"}
        also |= {"patches-as-they-are": readers, "neuracrypt": readers}
        assert changed == next((of for end, of in also.items() if name.endswith(end)), usual), name
        card = "task card" if training.tasks else "keyless card" if "neuracrypt" in name else "compact card"
        assert sweep.protocol.measure == (card if "measure" in changed else "equal-age card")
    assert len({(sweep.protocol.model, sweep.protocol.training) for sweep in sweeps.values()}) == len(sweeps)
    for sweep in sweeps.values():
        for part in range(6):
            assert hosts.fingerprint(sweep.protocol, part) == hosts.fingerprint(plain.protocol, part)
    assert {sweep.protocol.aside for name, sweep in sweeps.items() if "aside" in name or "mixer" in name} == {8}


@pytest.mark.parametrize("profile", ["embedded", "paper"])
def test_plain_models_are_of_the_seeds_of_the_ways(profile):
    planned = {name: registry.sweeps(profile)[name] for name in registry.chapter("neighbours", profile)}
    beside = fourth.side_by_side(planned)
    assert [*beside, *attacked.beside(profile)] == list(planned)
    assert fourth.SEEDS[profile] == third.SEEDS[profile]
    names = [second.regime(one) for one in beside.values()]
    seeds = dict(zip(names, (one.seeds for one in beside.values()), strict=True))
    assert {one for name, one in seeds.items() if name not in fourth.READERS} == {fourth.SEEDS[profile]}
    assert {seeds[name] for name in fourth.READERS if name in seeds} <= {fourth.SEEDS[profile][:12]}
    assert names[0] == second.PLAIN
    assert set(names[1:]) == set(fourth.ways() if profile == "paper" else fourth.REHEARSED)
    for system, ours in fourth.SYSTEMS.items():
        rows = fourth.rows(beside, system)
        there = [way for way in ours if way in names]
        base = fourth.BASES.get(system, second.PLAIN)
        expected = [one for one in (base, *there) if one in names] if there else []
        assert [row.setting for row in rows] == [one for one in expected for _ in range(2)]


def test_a_rehearsal_changes_what_the_plan_changes():
    plain = second.small_population("embedded", "digits")
    for sweep in fourth.sweeps("embedded").values():
        way = fourth.ways()[second.regime(sweep)]
        training = sweep.protocol.training
        assert replace(sweep.protocol, training=plain.training, roles=plain.roles) == plain
        assert (training.forgetting, training.without_hosts) == (way.forgetting, way.without_hosts)
        assert (training.epochs, training.precision) == (plain.training.epochs, "float64")


def test_the_page_has_every_system_and_way():
    systems = table(PAGE, "system")
    assert [re.split(r" [({]", row[0])[0] for row in systems] == list(fourth.SYSTEMS)
    apart = {fourth.GRADIENT, fourth.ROBUSTNESS}
    assert {system for system, ours in fourth.SYSTEMS.items() if not ours} == apart
    said = [line.strip("| ").split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| ")]
    assert [one for one in said if one in fourth.ways() and one != fourth.L2UL] == [
        way for way in fourth.ways() if way != fourth.L2UL
    ]
    assert "| L2UL | and weights" in PAGE
    every = [way for ours in fourth.SYSTEMS.values() for way in ours]
    others = {fourth.WITHOUT, fourth.ASIDE, fourth.PATCHES, fourth.AT_ONCE}
    assert {*every, *others} == set(fourth.ways())
    assert not others & set(every)


def test_the_page_has_the_settings():
    usual = Forgetting()
    ways = fourth.ways()
    assert ways[fourth.L2UL].forgetting == usual
    assert ways[fourth.KEPT].forgetting == replace(usual, importance=0.0)
    assert ways[fourth.ASCENT].forgetting == replace(usual, importance=0.0, adversarial=0)
    for said in (
        f"a learning rate of {usual.optimiser.learning_rate:g}, momentum {usual.optimiser.momentum:g} and weight decay "
        f"{usual.optimiser.weight_decay:g}",
        f"at most {usual.steps} steps",
        f"{usual.adversarial} adversarial images, each at most {usual.radius:g} away in the L2 norm",
        f"{usual.iterations} iterations",
        f"of stride {usual.stride:g}",
        f"with a factor of {usual.importance:g}",
    ):
        assert said in PAGE.replace("\n", " "), said
    recall = fourth.ways()[fourth.RECALL].tasks
    alike = [fourth.ways()[way].tasks for way in (fourth.AT_ONCE, fourth.IN_TURN)]
    assert alike == [replace(recall, n=1, recall=None), replace(recall, recall=None)]
    assert recall == replace(Tasks(), recall=Recall(stride=1.0))
    for said in (
        f"SGD with a learning rate of {recall.optimiser.learning_rate:g} and batches of {recall.batch_size} images, "
        f"one pass, {recall.recall.steps} steps",
        f"a stride of {recall.recall.stride:g}, not of {Recall().stride:g}",
    ):
        assert said in PAGE.replace("\n", " "), said
    assert (recall.passes, recall.n, recall.optimiser.momentum, recall.optimiser.weight_decay) == (1, 5, 0, 0)
    assert SECOND.smallest == 0.02


def test_the_page_has_the_settings_of_perturbations():
    usual, ways = AdvBN(), fourth.ways()
    assert ways[fourth.ADV_BN].adv_bn == usual
    assert ways[fourth.TUNED].adv_bn == replace(usual, steps=0)
    assert ways[fourth.FROM_SCRATCH].adv_bn == replace(usual, epochs=0)
    assert (usual.steps, usual.passes) == (6, 8)
    for said in (
        f"six steps of {usual.stride:g} from factors of one, which stay within {usual.radius:g} of one",
        f"fine-tuning of {usual.epochs} epochs with SGD, a learning rate of {usual.optimiser.learning_rate:g} that "
        f"falls to a tenth after half of them, momentum {usual.optimiser.momentum:g} and weight decay "
        f"{usual.optimiser.weight_decay:g}",
    ):
        assert said in PAGE.replace("\n", " "), said
    [plain, *others] = table((paths.BOOK / "benchmarks" / "adv-bn.md").read_text(encoding="utf-8"), "models")
    kept = {rate: accuracy for name, rate, *_, accuracy in others if name == fourth.ADV_BN}
    kept = [float(rate) for rate, accuracy in kept.items() if float(accuracy) > float(plain[-1]) - 0.01]
    assert max(kept) == usual.optimiser.learning_rate


def test_the_page_has_what_reads_encoded_images():
    plain, encoded = fourth.READERS.values()
    assert plain == replace(encoded, encoded=False)
    assert {way: fourth.ways()[way].learning_rate for way in fourth.READERS} == fourth.RATES
    said = PAGE.replace("\n", " ")
    for words in (
        f"patches of {encoded.patch} × {encoded.patch} pixels and a width of {encoded.width}",
        f"one of {(28 // encoded.patch) ** 2}",
        f"by {encoded.units[0]} units, takes the mean over patches, and has {encoded.hidden[0]} units more",
        "learning rate of Adam is {:g} and {:g}".format(*(fourth.RATES[way] for way in fourth.READERS)),
    ):
        assert words in said, words
    assert encoded.depth == len(encoded.units) == len(encoded.hidden) == 1
    assert questions.enough(np.array(fourth.seeds("paper", fourth.ENCODED)))  # to set a threshold
    assert not questions.enough(np.array(fourth.SEEDS["paper"][: fourth.READ - 1]))


def test_the_rate_is_that_of_the_lowest_loss():
    rows = (paths.BOOK / "benchmarks" / "neuracrypt.md").read_text(encoding="utf-8").splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    for network in fourth.READERS:
        losses = {float(rate): float(loss) for name, rate, loss, *_ in cells if name == network}
        assert len(losses) == 4
        assert min(losses, key=losses.__getitem__) == fourth.RATES[network]


def test_private_models_are_attacked_beside_plain_ones_of_their_seeds():
    every = registry.sweeps()
    plain, *private = (every[name] for name in attacked.beside("paper"))
    assert second.regime(plain) == attacked.PLAIN
    assert tuple(map(second.regime, private)) == attacked.WAYS
    assert {one.seeds for one in (plain, *private)} == {third.PRIVATE_SEEDS["paper"]}
    for one in (plain, *private):
        usual = replace(one.protocol, training=plain.protocol.training, measure="equal-age card")
        assert usual == second.small_population("paper", "mnist")
        assert one.protocol.measure == "robust card"
    assert not attacked.beside("embedded")


def test_the_page_says_how_models_are_attacked():
    text = PAGE.replace("\n", " ")
    linf, l2 = (", ".join(f"{radius:g}" for radius in RADII[norm]) for norm in NORMS)
    for said in (
        f"{linf.replace(', 0.5', ' or 0.5')} in L∞, {l2.replace(', 4', ' or 4')} in L2",
        f"at L∞ {ATTACKED.linf:g} and at L2 {ATTACKED.l2:g}",
        *(f"| {attack} | " for attack in ATTACKS),
        *(f"*{word}*" for word in (Robust.MORE, Robust.LESS, Robust.NOTHING, Robust.FAIL)),
        "Two hundred reported test images",
        "more than a fifth of the images are left",
        "twenty steps of an eighth of the radius",
        "its seven noises",
        "at 5 %",
    ):
        assert said in text, said
    assert (ATTACKED_IMAGES, ATTACKED.left, ATTACKED.level) == (200, 0.2, 0.05)
    assert (STEPS, STRIDE / STEPS, len(third.NOISES)) == (20, 1 / 8, 7)
    assert {f"*{way}*" in text for way in (third.SAMPLED, third.CLIPPED, third.NOISY, "Plain, attacked")} == {True}
