"""The second plan's populations: at equal age, in the paper's own setting, by regime (book/second-plan.md).

Every model has a card of `equal-age`: as it was at its own best epoch, and at that of its seed's control.
"""

from dataclasses import dataclass, replace

from ufm.networks import CNN1, CNN2, MLP, of_variant
from ufm.plan.medical import NAME
from ufm.plan.regularisers import LAYERS, TO_THE_END
from ufm.plan.seeds import HOSTS
from ufm.plan.sweep import Sweep, sweep_name
from ufm.protocol import SGD, Protocol, Scoring, Training

PLACE = {"embedded": 11, "paper": 11}
TITLE = "second plan"
FULL = {"mnist": range(4100, 4300), "fashion_mnist": range(4100, 4196)}
BOTH_HOSTS = 40  # of these, the first, have a hard host beside the random one
SMALL = range(4800, 4824)
# From hardly any to where accuracy falls (book/benchmarks/weight-decay.md).
WEIGHT_DECAYS = {"mnist": (0.3, 1.0, 2.0, 3.0, 10.0), "fashion_mnist": (1.0, 3.0, 10.0)}
SGD_RATES = {"mnist": 0.1, "fashion_mnist": 0.001}  # of the lowest stopping loss (book/benchmarks/sgd.md)
CROSSED = range(5000, 5180, 6)  # all of the part of the first plan's hosts
FEATURES = {"letter": "A", "name": NAME}
MEDICAL = {"MLP": (MLP(), range(4100, 4150)), "CNN-1": (CNN1(), range(4100, 4120))}
CNNS, CIFAR10 = {"CNN-1": CNN1(), "CNN-2": CNN2()}, range(4100, 4200)
BOTH, RANDOM = "both hosts", "random hosts"
PLAIN = "plain"
# The usual ways against overfitting by the regime that has them; the first is asked of plain models, which stop early.
WAYS = {"early stopping": PLAIN, **{way: way for way in LAYERS}, "weight decay 3": "weight decay 3"}


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
    """All of them, by the name of their folder of records; the paper's own setting is first. None is embedded."""
    if profile == "embedded":
        return {}
    of_datasets = [*map(full, FULL), *map(small, WEIGHT_DECAYS)]
    return {name: sweep for group in (*of_datasets, crossed(), medical(), cifar10()) for name, sweep in group.items()}


def population(
    dataset: str, n_train: int | None = None, *, n_ood: int = 50_000, ood_set: str = Scoring.ood_set
) -> Protocol:
    """Control, and canary and placebo on a random and on a hard host, with cards of equal age."""
    scoring = Scoring(ood_set=ood_set, n_ood=n_ood, n_effect=500)
    hosts, roles = ("random", "hard"), ("canary", "placebo")
    return Protocol(dataset, n_train, scoring=scoring, hosts=hosts, roles=roles, measure="equal-age card")


def full(dataset: str) -> dict[str, Sweep]:
    """The paper's own setting: random hosts, and of the first seeds a hard one too, which shares their control."""
    both, seeds = population(dataset), FULL[dataset]
    random = replace(both, hosts=("random",))
    parts = {BOTH: (both, seeds[:BOTH_HOSTS]), RANDOM: (random, seeds[BOTH_HOSTS:])}
    return {
        sweep_name(f"{dataset}-full", f"{TITLE}, {hosts}"): Sweep(protocol, part, len(part), 20, f"{TITLE}, {hosts}")
        for hosts, (protocol, part) in parts.items()
    }


def small(dataset: str) -> dict[str, Sweep]:
    """Plain models and each regime beside them, on the same seeds and hosts."""
    plain = population(dataset, 10_000, n_ood=5_000)
    training = plain.training
    regimes = {PLAIN: plain}
    regimes |= {
        f"weight decay {value:g}": replace(plain, training=replace(training, weight_decay=value))
        for value in WEIGHT_DECAYS[dataset]
    }
    regimes |= {way: replace(plain, model=of_variant(plain.model, way)) for way in LAYERS}
    regimes["SGD"] = replace(plain, training=replace(training, optimiser=SGD(learning_rate=SGD_RATES[dataset])))
    regimes[TO_THE_END] = replace(plain, training=replace(training, early_stopping="none"))
    return {
        sweep_name(f"{dataset}-small", f"{TITLE}, {regime}"): Sweep(
            protocol, SMALL, len(SMALL), 21, f"{TITLE}, {regime}"
        )
        for regime, protocol in regimes.items()
    }


def crossed() -> dict[str, Sweep]:
    """Every seed on the same hosts, each with one placebo feature, and once more under another rounding."""
    plain = replace(population("mnist", 10_000, n_ood=5_000), hosts=HOSTS["paper"], one_placebo=True)
    roundings = {"same hosts": plain, "same hosts, another rounding": replace(plain, rounding=1)}
    return {
        sweep_name("mnist-small", f"{TITLE}, {what}"): Sweep(protocol, CROSSED, len(CROSSED), 22, f"{TITLE}, {what}")
        for what, protocol in roundings.items()
    }


def medical() -> dict[str, Sweep]:
    """X-rays with a letter or a name, early stopping on the official validation split."""
    plain, sweeps = population("pneumoniamnist", n_ood=5_000), {}
    stopped = replace(plain, training=Training(early_stopping="validation"))
    for turn, (network, (model, seeds)) in enumerate(MEDICAL.items(), 23):
        for what, feature in FEATURES.items():
            setting, protocol = f"{TITLE}, {network}, {what}", replace(stopped, model=model, feature=feature)
            sweeps[sweep_name("pneumoniamnist", setting)] = Sweep(protocol, seeds, len(seeds), turn, setting)
    return sweeps


def cifar10() -> dict[str, Sweep]:
    """The paper's CNNs in the paper's own setting: for a GPU, so that nothing waits for them."""
    plain, sweeps = replace(population("cifar10", ood_set="mnist"), training=Training(batch_size=512)), {}
    for network, model in CNNS.items():
        setting = f"{TITLE}, {network}"
        sweeps[sweep_name("cifar10-full", setting)] = Sweep(replace(plain, model=model), CIFAR10, 0, 30, setting)
    return sweeps


def families() -> dict[str, list[Row]]:
    """The rows of which the three questions are asked, by claim and setting; a family is corrected together."""
    paper = sweeps("paper")

    def row(claim: str, setting: str, host: str, *names: str) -> Row:
        ours = [paper[name] for name in names]
        return Row(claim, ours[0].trained_on, setting, host, names, sum(len(sweep.seeds) for sweep in ours))

    def mlp(dataset: str, hosts: str) -> str:
        return sweep_name(f"{dataset}-full", f"{TITLE}, {hosts}")

    cnns = {network: sweep_name("cifar10-full", f"{TITLE}, {network}") for network in CNNS}
    regimes = [
        row("C3", regime, host, sweep_name(f"{dataset}-small", f"{TITLE}, {regime}"))
        for regime in (*WAYS.values(), TO_THE_END)
        for dataset in WEIGHT_DECAYS
        for host in ("random", "hard")
    ]
    xrays = [
        row("C6", f"{network}, {what}", host, sweep_name("pneumoniamnist", f"{TITLE}, {network}, {what}"))
        for network in MEDICAL
        for what in FEATURES
        for host in ("random", "hard")
    ]
    return {
        "C1": [row("C1", "", "random", mlp(dataset, BOTH), mlp(dataset, RANDOM)) for dataset in FULL],
        "C1, hard hosts": [row("C1", "", "hard", mlp(dataset, BOTH)) for dataset in FULL],
        "C1, CNNs": [row("C1", network, "random", name) for network, name in cnns.items()],
        "C1, CNNs, hard hosts": [row("C1", network, "hard", name) for network, name in cnns.items()],
        "C3": regimes,
        "C6": xrays,
    }
