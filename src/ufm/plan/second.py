"""The second plan's populations: at equal age, in the paper's own setting, by regime (book/second-plan.md).

Every model has a card of `equal-age`: as it was at its own best epoch, and at that of its seed's control.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ufm.networks import CNN1, CNN2, MLP, Model, of_variant
from ufm.plan.populations import NAME
from ufm.plan.profiles import PROFILES
from ufm.plan.same_hosts import HOSTS
from ufm.plan.sweep import OfSweep, Sweep, sweep_name
from ufm.plan.ways import LAYERS, TO_THE_END
from ufm.protocol import SGD, Protocol, Scoring, Training

PLACE = {"embedded": 11, "paper": 11}
TITLE = "second plan"
FULL: dict[str, dict[str, range]] = {
    "embedded": {"digits": range(500, 512)},
    "paper": {"mnist": range(4100, 4300), "fashion_mnist": range(4100, 4196)},
}
BOTH_HOSTS = 40  # of these, the first, have a hard host beside the random one
SMALL = {"embedded": range(640, 652), "paper": range(4800, 4824)}
N_SMALL = {"embedded": 600, "paper": 10_000}
# From hardly any to where accuracy falls (book/benchmarks/weight-decay.md).
WEIGHT_DECAYS: dict[str, dict[str, tuple[float, ...]]] = {
    "embedded": {"digits": (3.0, 10.0)},
    "paper": {"mnist": (0.3, 1.0, 2.0, 3.0, 10.0), "fashion_mnist": (1.0, 3.0, 10.0)},
}
# Of the lowest stopping loss (book/benchmarks/sgd.md); of digits a usual one.
SGD_RATES = {"digits": 0.01, "mnist": 0.1, "fashion_mnist": 0.001}
CROSSED = {"embedded": range(700, 716, 2), "paper": range(5000, 5180, 6)}  # all of the part of the first plan's hosts
FEATURES = {"letter": "A", "name": NAME}
MEDICAL: dict[str, dict[str, tuple[Model, range]]] = {
    "embedded": {"MLP": (PROFILES["embedded"].model, range(800, 812))},
    "paper": {"MLP": (MLP(), range(4100, 4150)), "CNN-1": (CNN1(), range(4100, 4120))},
}
CNNS, CIFAR10 = {"CNN-1": CNN1(), "CNN-2": CNN2()}, range(4100, 4200)
BOTH, RANDOM = "both hosts", "random hosts"
Kept = TypeVar("Kept", bound=Sweep | OfSweep)
PLAIN = "plain"
ROUNDINGS = ("same hosts", "same hosts, another rounding")
EARLY_STOPPING = "early stopping"
OWN = {BOTH: PLAIN, RANDOM: PLAIN}  # the regimes in the paper's own setting, and what they are
DECAY = "weight decay "
USUAL_DECAY = f"{DECAY}3"  # of the regimes the one that is a usual way against overfitting
# The usual ways against overfitting by the regime that has them; the first is asked of plain models, which stop early.
WAYS = {EARLY_STOPPING: PLAIN, **{way: way for way in LAYERS}, USUAL_DECAY: USUAL_DECAY}
# And the regime that it is compared with.
COMPARED = {way: (regime, TO_THE_END if way == EARLY_STOPPING else PLAIN) for way, regime in WAYS.items()}


@dataclass(frozen=True)
class Row:
    """What the three questions are asked of: a population on one kind of host; its seeds may lie in several sweeps."""

    claim: str
    population: str  # data set and size in words
    setting: str  # what sets it apart in words
    host: str
    sweeps: tuple[str, ...]  # names of their folders of records
    needed: int  # seeds of all of them together


def sweeps(profile: str) -> dict[str, Sweep]:
    """All of them, by the name of their folder of records; the paper's own setting is first."""
    groups = [full(profile, dataset) for dataset in FULL[profile]]
    groups += [small(profile, dataset) for dataset in WEIGHT_DECAYS[profile]]
    groups += [crossed(profile), medical(profile), cnns(profile)]
    return {name: sweep for group in groups for name, sweep in group.items()}


def population(profile: str, dataset: str, n_train: int | None = None, **scoring: Any) -> Protocol:
    """Control, and canary and placebo on a random and on a hard host, with cards of equal age."""
    usual = PROFILES[profile]
    own = replace(usual.scoring, **scoring) if profile == "embedded" else Scoring(n_effect=500, **scoring)
    five = replace(usual, hosts=("random", "hard"), roles=("canary", "placebo"), measure="equal-age card")
    return replace(five, dataset=dataset, n_train=n_train, scoring=own)


def full(profile: str, dataset: str) -> dict[str, Sweep]:
    """The paper's own setting: random hosts, and of the first seeds a hard one too, which shares their control."""
    both, seeds = population(profile, dataset), FULL[profile][dataset]
    random = replace(both, hosts=("random",))
    parts = {BOTH: (both, seeds[:BOTH_HOSTS]), RANDOM: (random, seeds[BOTH_HOSTS:])}
    return {
        sweep_name(f"{dataset}-full", f"{TITLE}, {hosts}"): Sweep(protocol, part, len(part), 20, f"{TITLE}, {hosts}")
        for hosts, (protocol, part) in parts.items()
        if part
    }


def small(profile: str, dataset: str) -> dict[str, Sweep]:
    """Plain models and each regime beside them, on the same seeds and hosts."""
    plain, seeds = small_population(profile, dataset), SMALL[profile]
    training = plain.training
    regimes = {PLAIN: plain}
    regimes |= {
        f"{DECAY}{value:g}": replace(plain, training=replace(training, weight_decay=value))
        for value in WEIGHT_DECAYS[profile][dataset]
    }
    regimes |= {way: replace(plain, model=of_variant(plain.model, way)) for way in LAYERS}
    regimes["SGD"] = replace(plain, training=replace(training, optimiser=SGD(learning_rate=SGD_RATES[dataset])))
    if training.early_stopping != "none":
        regimes[TO_THE_END] = replace(plain, training=replace(training, early_stopping="none"))
    return {
        sweep_name(f"{dataset}-small", f"{TITLE}, {regime}"): Sweep(
            protocol, seeds, len(seeds), 21, f"{TITLE}, {regime}"
        )
        for regime, protocol in regimes.items()
    }


def small_population(profile: str, dataset: str) -> Protocol:
    """Plain models of the small size."""
    scoring = {"n_ood": 5_000} if profile == "paper" else {}
    return population(profile, dataset, N_SMALL[profile], **scoring)


def compact_population(profile: str, dataset: str) -> Protocol:
    """The same with compact cards, which later plans keep."""
    return replace(small_population(profile, dataset), measure="compact card")


def crossed(profile: str) -> dict[str, Sweep]:
    """Every seed on the same hosts, each with one placebo feature, and once more under another rounding."""
    dataset, seeds = next(iter(WEIGHT_DECAYS[profile])), CROSSED[profile]
    plain = replace(small_population(profile, dataset), hosts=HOSTS[profile], one_placebo=True)
    roundings = dict(zip(ROUNDINGS, (plain, replace(plain, rounding=1)), strict=True))
    return {
        sweep_name(f"{dataset}-small", f"{TITLE}, {what}"): Sweep(
            protocol, seeds, len(seeds), 22, f"{TITLE}, {what}", chosen="hard"
        )
        for what, protocol in roundings.items()
    }


def medical(profile: str) -> dict[str, Sweep]:
    """X-rays with a letter or a name, early stopping on the official validation split."""
    name, plain = "digits-small", small_population(profile, "digits")
    if profile == "paper":
        name, plain = "pneumoniamnist", population(profile, "pneumoniamnist", n_ood=5_000)
        plain = replace(plain, training=Training(early_stopping="validation"))
    sweeps = {}
    for turn, (network, (model, seeds)) in enumerate(MEDICAL[profile].items(), 23):
        for what, feature in FEATURES.items():
            setting, protocol = f"{TITLE}, {network}, {what}", replace(plain, model=model, feature=feature)
            sweeps[sweep_name(name, setting)] = Sweep(protocol, seeds, len(seeds), turn, setting)
    return sweeps


def cnns(profile: str) -> dict[str, Sweep]:
    """The paper's CNNs in the paper's own setting: for a GPU, so that nothing waits for them. Not embedded."""
    if profile == "embedded":  # in float32 another processor's rounding grows, and float64 takes ten times as long
        return {}
    plain, sweeps = population(profile, "cifar10", ood_set="mnist"), {}
    plain = replace(plain, training=Training(batch_size=512))
    for network, model in CNNS.items():
        setting = f"{TITLE}, {network}"
        sweeps[sweep_name("cifar10-full", setting)] = Sweep(replace(plain, model=model), CIFAR10, 0, 30, setting)
    return sweeps


def regime(sweep: Sweep) -> str:
    """What sets a sweep of this plan or of a later one apart, in words; nothing of the first plan's."""
    return sweep.setting.partition(" plan, ")[2]


def first_plan(populations: Mapping[str, Kept]) -> dict[str, Kept]:
    """What is not of this plan, populations or sweeps."""
    return {name: one for name, one in populations.items() if " plan, " not in one.setting}


def beside_plain(planned: Mapping[str, Sweep], title: str, regimes: Iterable[str]) -> dict[str, Sweep]:
    """The sweeps of a later plan that are of these regimes, and of plain models the most seeds that one of them has."""
    named = {PLAIN, *regimes}
    found = {name: sweep for name, sweep in planned.items() if regime(sweep) in named}
    fewest_first = sorted(found.values(), key=lambda one: len(one.seeds))
    seeds = {one.trained_on: one.seeds for one in fewest_first if one.setting.startswith(title)}
    for name, sweep in found.items():
        if not sweep.setting.startswith(title):
            ours = seeds[sweep.trained_on]
            found[name] = replace(sweep, seeds=ours, needed=len(ours))
    return found


def rows(planned: Mapping[str, Sweep], claim: str, settings: Mapping[str, str], *hosts: str) -> list[Row]:
    """Rows of the sweeps whose regime is one of `settings`, which says how each is called, in that order.

    A row a name, data set and size, and kind of host; sweeps that are called alike are one.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for wanted, called in settings.items():
        for name, sweep in planned.items():
            if regime(sweep) == wanted:
                for host in (one for one in hosts if one in sweep.protocol.hosts):
                    groups.setdefault((sweep.trained_on, called, host), []).append(name)
    return [
        Row(claim, population, setting, host, tuple(names), sum(len(planned[name].seeds) for name in names))
        for (population, setting, host), names in groups.items()
    ]


def by_regime(planned: Mapping[str, Sweep]) -> list[Row]:
    """The rows of C2: what can be told of plain models of the full size, and of each regime of the small one."""
    decays = {one for one in map(regime, planned.values()) if one.startswith(DECAY)}
    named = (PLAIN, *sorted(decays, key=lambda one: float(one.removeprefix(DECAY))), *LAYERS, "SGD", TO_THE_END)
    return rows(planned, "C2", OWN | {one: one for one in named}, "random", "hard")


def families(planned: Mapping[str, Sweep]) -> dict[str, list[Row]]:
    """The rows of which the three questions are asked, by claim and setting; a family is corrected together."""
    ways = {one: one for one in (*WAYS.values(), TO_THE_END)}
    xrays = {one: one for one in (f"{network}, {what}" for network in MEDICAL["paper"] for what in FEATURES)}
    networks = {one: one for one in CNNS}
    found = {
        "C1": rows(planned, "C1", dict.fromkeys(OWN, ""), "random"),
        "C1, hard hosts": rows(planned, "C1", dict.fromkeys(OWN, ""), "hard"),
        "C1, CNNs": rows(planned, "C1", networks, "random"),
        "C1, CNNs, hard hosts": rows(planned, "C1", networks, "hard"),
        "C3": rows(planned, "C3", ways, "random", "hard"),
        "C6": rows(planned, "C6", xrays, "random", "hard"),
    }
    return {family: of for family, of in found.items() if of}
