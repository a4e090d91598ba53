"""Chapter *CNNs*: convolutional networks on colour images."""

from dataclasses import replace

from ufm.networks import CNN1, CNN2, DenseNetBC
from ufm.plan import second
from ufm.plan.profiles import PROFILES
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, Scoring, Training

PLACE = {"embedded": 3, "paper": 5}
CNN_SETTINGS = {"cnn1": "CNN-1", "cnn2": "CNN-2"}  # by the name of the network
# A quarter of the width, and float32: convolutions in float64 take ten times as long.
QUARTER = (CNN1(channels=(8, 16), hidden=(32, 32)), CNN2(channels=(8, 16), hidden=(256,)))
QUICK = Training(learning_rate=1e-3, batch_size=32, epochs=5, early_stopping="none")
PLAIN = {
    "embedded": Protocol(
        "photographs",
        128,
        training=QUICK,
        scoring=replace(PROFILES["embedded"].scoring, ood_set="digits", n_effect=40),
    ),
    "paper": Protocol("cifar10", 10_000, scoring=Scoring(ood_set="mnist", n_effect=500)),
}
MODELS = {"embedded": QUARTER, "paper": tuple(second.CNNS.values())}
# All of one part, so that one pool of hosts does.
SEEDS = {"embedded": range(0, 96, 12), "paper": range(1000, 1050, 5)}


def sweeps(profile: str) -> dict[str, Sweep]:
    """The networks of the paper's own chapter, then the deeper one."""
    return networks(profile) | densenet(profile)


def shown(profile: str) -> tuple[str, ...]:
    """The second plan's, then all of them."""
    return (*second.cnns(profile), *sweeps(profile))


def networks(profile: str) -> dict[str, Sweep]:
    """CNN-1 and CNN-2 on hard hosts, three models a seed, with the feature moved at test time too."""
    models, seeds, plain = MODELS[profile], SEEDS[profile], PLAIN[profile]
    three = replace(plain, hosts=("hard",), roles=("canary", "placebo"), measure="moved card", planned=(0, 0))
    return {
        f"{plain.dataset}-small-{model.name}": Sweep(
            replace(three, model=model), seeds, len(seeds), 7, CNN_SETTINGS[model.name]
        )
        for model in models
    }


DECIDING = {"C1, CNNs": networks}  # by claim, the sweeps on which it stands


def densenet(profile: str) -> dict[str, Sweep]:
    """Exploratory, and not embedded: DenseNet-BC in the place of CNN-2, on the same hosts; nothing waits for it."""
    if profile == "embedded":
        return {}
    cnn2 = networks(profile)["cifar10-small-cnn2"]
    protocol = replace(cnn2.protocol, model=DenseNetBC())
    return {"cifar10-small-densenet_bc": Sweep(protocol, cnn2.seeds, 0, 10, "DenseNet-BC")}
