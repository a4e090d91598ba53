"""What is trained under each profile, and which of it every chapter shows.

*embedded* trains small models on small images in seconds, *paper* is the full-size experiment.
"""

from dataclasses import fields, replace

from ufm.data import sources
from ufm.features import LETTERS
from ufm.networks import CNN1, CNN2, MLP, DenseNetBC, Model
from ufm.plan import second
from ufm.plan.sweep import Sweep, sweep_name
from ufm.protocol import Protocol, Scoring, Training

PROFILES = {
    # No file but the packages is needed. Float64 and a fixed number of epochs, so that another processor's rounding
    # neither grows nor moves the best epoch; an eighth of the paper's width, so that it is quick.
    "embedded": Protocol(
        dataset="digits",
        model=MLP(hidden=(64, 32)),
        training=Training(learning_rate=1e-3, batch_size=64, epochs=10, early_stopping="none", precision="float64"),
        scoring=Scoring(ood_set="photo_patches", n_ood=500, n_effect=200, n_permutations=20),
    ),
    "paper": Protocol(dataset="mnist"),
}

POPULATIONS = {
    "embedded": ("digits-small",),
    "paper": ("mnist-small", "fashion_mnist-small", "mnist-full", "fashion_mnist-full"),
}
# Ways to prevent overfitting, in words, and what each changes of a plain model.
LAYERS = {
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": True},
    "augmentation": {"augmentation": True},
    "dropout + augmentation": {"dropout": True, "augmentation": True},
}
WEIGHT_DECAY = {"digits": 0.1, "mnist": 3.0, "fashion_mnist": 3.0}  # of the last two by benchmarks/weight_decay.py
TO_THE_END = "to the end"  # plain models whose training is not stopped early
WAYS = (*LAYERS, "weight decay")
REGULARISERS = {
    "embedded": ("digits-small", *(sweep_name("digits-small", way) for way in WAYS)),
    "paper": tuple(
        name
        for small in ("mnist-small", "fashion_mnist-small")
        for name in (small, *(sweep_name(small, way) for way in (*WAYS, TO_THE_END)))
    ),
}
SAME_HOSTS = "the same hosts"  # for every seed
SEEDS = {
    "embedded": ("digits-small", sweep_name("digits-small", SAME_HOSTS)),
    "paper": ("mnist-small", sweep_name("mnist-small", SAME_HOSTS)),
}
# The first hosts that the pool of hard ones gives, of part 0 of the digits and of part 2 of MNIST.
DIGITS_HOSTS = ("411", "457", "799", "1057")
MNIST_HOSTS = ("29096", "26766", "3662", "8202", "50120", "19808", "32475", "42826", "2044", "52180")
NAME = "J. DOE"
MEDICAL_SETTINGS = ("MLP, letter", "MLP, name", "CNN-1, letter")
MEDICAL = {
    "embedded": ("digits-small-letter", "digits-small-name"),
    "paper": ("pneumoniamnist-letter", "pneumoniamnist-name", "pneumoniamnist-cnn1"),
}
CNN_SETTINGS = {"cnn1": "CNN-1", "cnn2": "CNN-2"}
CNNS = {
    profile: tuple(f"{images}-{model}" for model in CNN_SETTINGS)
    for profile, images in {"embedded": "photographs-small", "paper": "cifar10-small"}.items()
}
DENSENETS = {"embedded": (), "paper": ("cifar10-small-densenet_bc",)}  # exploratory
MIDDLING_HOSTS = "middling hosts"
MIDDLING = {
    "embedded": (sweep_name("digits-small", MIDDLING_HOSTS),),
    "paper": (sweep_name("fashion_mnist-full", MIDDLING_HOSTS),),
}
# Hosts by self-influence, in words, and their kind.
BY_INFLUENCE = {
    "most influential hosts": "influential",
    "least influential hosts": "uninfluential",
    "random hosts": "random",
}
INFLUENCE = {
    profile: tuple(sweep_name(small, setting) for setting in BY_INFLUENCE)
    for profile, small in (("embedded", "digits-small"), ("paper", "mnist-small"))
}
# The experiment varied in one thing at a time: in what, and what each value of it changes.
USUAL = "usual"  # not varied
SCORED = "scoring images"
VARIED = {
    "letter": {name: {"feature": name} for name in LETTERS if name != "A"},
    "place": {"edge": {"position": (1, 11)}, "centre": {"position": (11, 11)}},
    "size": {"10 × 10": {"magnified": 2}, "15 × 15": {"magnified": 3}},
    "brightness": {"0.5": {"brightness": 0.5}, "0.25": {"brightness": 0.25}},
    "images with the letter": {str(n): {"n_carriers": n} for n in (2, 5, 10, 100)},
    "batch of the host": {
        "first": {"batch": 0},
        "middle": {"batch": 39},
        "last full one": {"batch": -2},  # the very last is smaller, so that an image there would weigh more
        "shuffled": {"shuffle": True},
    },
    SCORED: {
        "Fashion-MNIST": {"ood_set": "fashion_mnist"},
        "photo patches": {"ood_set": "photo_patches", "n_ood": 1_950},  # which are all
    },
    "scoring inputs": {"raw": {"inputs": "raw"}},
}
FEW_VARIED = {
    "letter": ("L",),
    "place": ("centre",),
    "size": ("10 × 10",),
    "brightness": ("0.5",),
    "images with the letter": ("5",),
    "batch of the host": ("last full one",),
    "scoring inputs": ("raw",),
}
VARIATIONS = {
    "embedded": {what: {value: VARIED[what][value] for value in few} for what, few in FEW_VARIED.items()},
    "paper": VARIED,
}


def varied_in(what: str, value: str) -> str:
    """The setting of a sweep that is varied, in words."""
    return f"{what}: {value}"


SENSITIVITY = {
    profile: tuple(
        sweep_name(small, setting)
        for setting in (USUAL, *(varied_in(what, value) for what, of in VARIATIONS[profile].items() for value in of))
    )
    for profile, small in (("embedded", "digits-small"), ("paper", "mnist-small"))
}
EPOCH_BY_EPOCH = "epoch by epoch"
WHEN = {
    "embedded": (sweep_name("digits-small", EPOCH_BY_EPOCH),),
    "paper": (sweep_name("mnist-small", EPOCH_BY_EPOCH),),
}
# Hosts of the released notebook on MNIST, all of them with the seed that the released code has for every model.
RELEASED = ("52734", "15725", "54370", "17730", "28030", "15377", "7763", "46203", "58937", "23766")
RELEASED_SEEDS = range(123, 124)
AS_RELEASED = "as released"
# What the released code or its notebooks do otherwise than this book, or the book than they, and what each changes.
ON_ONE_HALF = "early stopping on one half"  # not under the embedded profile, where no model stops early
DEVIATIONS = {
    ON_ONE_HALF: {"early_stopping": "half"},
    "host in the first batch": {"batch": 0},
    "host in the first batch, twice": {"batch": 0, "twice": True},
    "black square": {"brightness": 0.0},
}
RELEASED_SWEEPS = {
    "as-released": AS_RELEASED,
    **{sweep_name("as-released", setting): setting for setting in DEVIATIONS},
}
DECIDING = (POPULATIONS, CNNS, REGULARISERS, INFLUENCE, SEEDS, MEDICAL)  # what the verdicts stand on
# The sweeps that each chapter shows under each profile, in this order.
CHAPTERS = {
    "method": {"embedded": ("method",), "paper": ("method",)},
    "mlp": POPULATIONS,
    "as-released": {
        "embedded": tuple(name for name, setting in RELEASED_SWEEPS.items() if setting != ON_ONE_HALF),
        "paper": tuple(RELEASED_SWEEPS),
    },
    "controls": POPULATIONS,
    "detection": POPULATIONS,
    "hosts": {profile: (*POPULATIONS[profile], *MIDDLING[profile]) for profile in PROFILES},
    "regularisers": REGULARISERS,
    "cnns": {profile: (*CNNS[profile], *DENSENETS[profile]) for profile in PROFILES},
    "seeds": SEEDS,
    "influence": INFLUENCE,
    "medical": MEDICAL,
    "sensitivity": SENSITIVITY,
    "when": WHEN,
    "verdicts": {
        profile: tuple(
            dict.fromkeys(
                name for one in (POPULATIONS, CNNS, REGULARISERS, INFLUENCE, SEEDS, MEDICAL) for name in one[profile]
            )
        )
        for profile in PROFILES
    },
}

EVIDENCE = range(1000, 1100)  # seeds of the populations that decide a claim, see the plan
CNN_SEEDS, PHOTOGRAPH_SEEDS = range(1000, 1050, 5), range(0, 96, 12)  # all of one part, so that one pool of hosts does
QUARTER = (CNN1(channels=(8, 16), hidden=(32, 32)), CNN2(channels=(8, 16), hidden=(256,)))  # of the width
# Convolutions in float64 take ten times as long.
QUICK = Training(learning_rate=1e-3, batch_size=32, epochs=5, early_stopping="none")
FIVE_MODELS = {"hosts": ("random", "hard"), "roles": ("canary", "placebo"), "measure": "card"}  # a seed, with cards


def sweeps(profile: str = "paper") -> dict[str, Sweep]:
    """All that a profile trains, by the name of its folder of records. Raises ValueError for an unknown profile."""
    return {"embedded": embedded, "paper": paper}[known(profile)]()


def embedded() -> dict[str, Sweep]:
    """What is trained when a chapter is executed."""
    base = PROFILES["embedded"]
    few = replace(base.scoring, ood_set="digits", n_effect=40)
    small = replace(base, n_train=600, planned=(0, 12), **FIVE_MODELS)
    return {
        "method": Sweep(changed(base, measure="walkthrough", n_random=10), range(1), 1, 0),
        **as_released("embedded", replace(base, hosts=("150", "450", "750", "1050"))),
        "digits-small": Sweep(small, range(12), 12, 0),
        **cnns("photographs", 128, QUARTER, QUICK, few, PHOTOGRAPH_SEEDS),
        **middling("digits-small", small, range(8), turn=0),
        **regularised("digits-small", small, range(8), turn=0),
        **medical("embedded", small, (range(400, 408), range(400, 408)), turn=0),
        **same_hosts("digits-small", small, DIGITS_HOSTS, range(200, 216, 2), turn=0),
        **varied("digits-small", small, VARIATIONS["embedded"], range(8), turn=0),
        **epoch_by_epoch("digits-small", small, range(8), turn=0),
        **by_influence("digits-small", small, [range(100, 108), range(108, 116), range(116, 124)], turn=0),
    }


def paper() -> dict[str, Sweep]:
    """What is trained once and kept with the book. Seeds from 1000 on are left to populations that decide a claim."""
    base = PROFILES["paper"]
    mnist, fashion = population("mnist", 10_000), population("fashion_mnist", 10_000)
    scoring = replace(mnist.scoring, ood_set="mnist")
    colour = cnns("cifar10", 10_000, (CNN1(), CNN2()), base.training, scoring, CNN_SEEDS)
    return {
        "method": Sweep(changed(base, measure="walkthrough", n_random=10), range(1), 1, 0),
        **as_released("paper", changed(base, early_stopping="released", hosts=RELEASED)),
        "mnist-small": Sweep(mnist, range(1000, 1200), 200, 1),
        "fashion_mnist-small": Sweep(fashion, EVIDENCE, 100, 1),
        "mnist-full": Sweep(population("mnist"), EVIDENCE, 40, 1),
        "fashion_mnist-full": Sweep(population("fashion_mnist"), EVIDENCE, 20, 1),
        **middling("fashion_mnist-full", population("fashion_mnist"), EVIDENCE[:20], turn=2),
        **regularised("mnist-small", mnist, EVIDENCE[:40], turn=3),
        **regularised("fashion_mnist-small", fashion, EVIDENCE[:40], turn=3),
        **colour,
        **densenet(colour["cifar10-small-cnn2"]),
        **medical("paper", population("pneumoniamnist"), (EVIDENCE[:50], EVIDENCE[:40], EVIDENCE[:20]), turn=4),
        **same_hosts("mnist-small", mnist, MNIST_HOSTS, range(2000, 2180, 6), turn=6),
        **varied("mnist-small", mnist, VARIATIONS["paper"], EVIDENCE[:20], turn=8),
        **epoch_by_epoch("mnist-small", mnist, EVIDENCE[:20], turn=9),
        **by_influence("mnist-small", mnist, [range(3000, 3024), range(3024, 3048), range(3048, 3108)], turn=5),
        **second.sweeps(),
    }


def as_released(profile: str, released: Protocol) -> dict[str, Sweep]:
    """The canaries of one seed in the released setting, and with each deviation from it that the profile has."""
    found = {}
    for name in CHAPTERS["as-released"][profile]:
        setting = RELEASED_SWEEPS[name]
        protocol = changed(released, **DEVIATIONS.get(setting, {}))
        found[name] = Sweep(protocol, RELEASED_SEEDS, 1, 0 if setting == AS_RELEASED else 2, setting)
    return found


def middling(name: str, plain: Protocol, seeds: range, turn: int) -> dict[str, Sweep]:
    """Exploratory: hosts of middling hardness beside a population, three models a seed."""
    three = replace(plain, hosts=("middling",), measure="short card")
    return {sweep_name(name, MIDDLING_HOSTS): Sweep(three, seeds, len(seeds), turn, MIDDLING_HOSTS)}


def cnns(
    dataset: str, n_train: int, models: tuple[Model, ...], training: Training, scoring: Scoring, seeds: range
) -> dict[str, Sweep]:
    """Convolutional networks on hard hosts, three models a seed, with the feature moved at test time too."""
    found, three = {}, FIVE_MODELS | {"hosts": ("hard",), "measure": "moved card"}
    for model in models:
        protocol = Protocol(dataset, n_train, model, training, scoring, **three, planned=(0, 0))
        setting = CNN_SETTINGS[model.name]
        found[f"{dataset}-small-{model.name}"] = Sweep(protocol, seeds, len(seeds), 7, setting)
    return found


def densenet(cnn: Sweep) -> dict[str, Sweep]:
    """Exploratory: DenseNet-BC in the place of another network, on the same hosts; nothing waits for it."""
    protocol = replace(cnn.protocol, model=DenseNetBC())
    [name] = DENSENETS["paper"]
    return {name: Sweep(protocol, cnn.seeds, 0, 10, "DenseNet-BC")}


def medical(profile: str, plain: Protocol, seeds: tuple[range, ...], turn: int) -> dict[str, Sweep]:
    """The letter on random and hard hosts, a name on hard hosts, and the letter with CNN-1 on hard hosts."""
    short = replace(plain, measure="short card")
    hard = replace(short, hosts=("hard",))
    protocols = (short, replace(hard, feature=NAME), replace(hard, model=CNN1()))
    return {
        name: Sweep(protocol, ours, len(ours), turn, setting)
        for name, protocol, ours, setting in zip(MEDICAL[profile], protocols, seeds, MEDICAL_SETTINGS, strict=False)
    }


def same_hosts(name: str, plain: Protocol, hosts: tuple[str, ...], seeds: range, turn: int) -> dict[str, Sweep]:
    """Every seed on the same hosts, which are of the part that the seeds train on."""
    crossed = replace(plain, hosts=hosts, measure="short card")
    return {sweep_name(name, SAME_HOSTS): Sweep(crossed, seeds, len(seeds), turn, SAME_HOSTS)}


def regularised(name: str, plain: Protocol, seeds: range, turn: int) -> dict[str, Sweep]:
    """The ways to prevent overfitting beside a population of plain models: three models a seed, hard hosts alone."""
    three = replace(plain, hosts=("hard",), measure="short card")
    decayed = replace(plain.training, weight_decay=WEIGHT_DECAY[plain.dataset])
    ways = {way: replace(three, model=replace(plain.model, **flags)) for way, flags in LAYERS.items()}
    ways["weight decay"] = replace(three, training=decayed)
    if plain.training.early_stopping != "none":
        ways[TO_THE_END] = replace(three, training=replace(plain.training, early_stopping="none"))
    return {sweep_name(name, way): Sweep(one, seeds, len(seeds), turn, way) for way, one in ways.items()}


def by_influence(name: str, plain: Protocol, seeds: list[range], turn: int) -> dict[str, Sweep]:
    """Hosts of most, of least and of any self-influence beside a population: three models a seed."""
    found = {}
    for (setting, host), ours in zip(BY_INFLUENCE.items(), seeds, strict=True):
        three = replace(plain, hosts=(host,), measure="influence card", planned=(ours.start, ours.stop))
        found[sweep_name(name, setting)] = Sweep(three, ours, len(ours), turn, setting)
    return found


def varied(
    name: str, plain: Protocol, variations: dict[str, dict[str, dict]], seeds: range, turn: int
) -> dict[str, Sweep]:
    """Exploratory: the canary and the placebo of a seed on its hard host, varied in one thing at a time."""
    usual = replace(plain, hosts=("hard",), control=False, measure="short card")
    settings = {USUAL: replace(usual, measure="moved card")} | {
        varied_in(what, value): changed(usual, **changes)
        for what, of in variations.items()
        for value, changes in of.items()
    }
    return {
        sweep_name(name, setting): Sweep(one, seeds, len(seeds), turn, setting) for setting, one in settings.items()
    }


def epoch_by_epoch(name: str, plain: Protocol, seeds: range, turn: int) -> dict[str, Sweep]:
    """Exploratory: three models a seed on its hard host, trained to the end and measured after every epoch."""
    training = replace(plain.training, early_stopping="none")  # of as many epochs, or its hosts would be others
    three = replace(plain, training=training, hosts=("hard",), measure="epoch card")
    return {sweep_name(name, EPOCH_BY_EPOCH): Sweep(three, seeds, len(seeds), turn, EPOCH_BY_EPOCH)}


def population(dataset: str, n_train: int | None = None) -> Protocol:
    """Five models a seed, with cards: the control, and canary and placebo on a random and on a hard host."""
    # Twice as many images move no shift by a tenth of its spread (benchmarks/card_images.py).
    return Protocol(dataset, n_train, scoring=Scoring(n_effect=500), **FIVE_MODELS)


def known(profile: str) -> str:
    """The profile; a ValueError lists the known ones where it is none of them."""
    if profile not in PROFILES:
        raise ValueError(f"profile: {profile!r} is not one of {', '.join(PROFILES)}")
    return profile


def chapter(notebook: str, profile: str) -> tuple[str, ...]:
    """Names of the sweeps that a notebook shows; a ValueError lists the known notebooks or profiles."""
    if notebook not in CHAPTERS:
        raise ValueError(f"no notebook {notebook!r}; known: {', '.join(CHAPTERS)}")
    return CHAPTERS[notebook][known(profile)]


def trains_on(protocol: Protocol, dataset: str | None, n_train: int | None) -> bool:
    """Whether a protocol is one of this data set and of so many training images; None is any."""
    size = protocol.n_train or sources.source(protocol.dataset).n_train
    return dataset in (None, protocol.dataset) and n_train in (None, protocol.n_train, size)


def changed(protocol: Protocol, **changes: object) -> Protocol:
    """A protocol with those changes, fields of `Protocol`, `Training` or `Scoring`, that are not None."""
    changes = {key: value for key, value in changes.items() if value is not None}
    for group, kind in (("training", Training), ("scoring", Scoring)):
        ours = {one.name: changes.pop(one.name) for one in fields(kind) if one.name in changes}
        changes[group] = replace(changes.get(group, getattr(protocol, group)), **ours)
    return replace(protocol, **changes)
