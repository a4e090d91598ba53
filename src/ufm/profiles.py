"""What each chapter trains under each profile, unless its parameters say otherwise.

*embedded* trains small models on small images in seconds, *paper* is the full-size experiment.
"""

from dataclasses import dataclass, field, fields, replace

from ufm.experiments import Protocol, Scoring, Training
from ufm.models import MLP

PROFILES = {
    # No file but the packages is needed. Float64 and a fixed number of epochs, so that another processor's rounding
    # neither grows nor moves the best epoch; a quarter of the paper's width, so that it is quick.
    "embedded": Protocol(
        dataset="digits",
        model=MLP(hidden=(128, 64)),
        training=Training(learning_rate=1e-3, batch_size=64, epochs=10, early_stopping="none", precision="float64"),
        scoring=Scoring(ood_set="photo_patches", n_ood=500, n_effect=200, n_permutations=20),
    ),
    "paper": Protocol(dataset="mnist"),
}


@dataclass(frozen=True)
class Sweep:
    """Seeds of one protocol, kept in one folder of records."""

    protocol: Protocol
    seeds: range
    needed: int  # how many of the first seeds the book cannot do without; they are trained first
    turn: int  # sweeps of an earlier turn are trained first


@dataclass(frozen=True)
class Chapter:
    """One notebook's share of a profile."""

    seeds: dict[str, int]  # planned seeds by profile, from seed 0 on
    changes: dict[str, object] = field(default_factory=dict)  # fields of Protocol or Scoring that are the chapter's own


# In the order of the book. Seeds from 1000 on are left to populations that decide a claim.
CHAPTERS = {
    "method": Chapter({"embedded": 1, "paper": 1}, {"measure": "walkthrough", "n_random": 10}),
    "mlp": Chapter({"embedded": 4, "paper": 20}),
}


def population(dataset: str, n_train: int | None = None) -> Protocol:
    """Five models a seed, with cards: the control, and canary and placebo on a random and on a hard host."""
    return Protocol(
        dataset,
        n_train,
        # Twice as many images move no shift by a tenth of its spread (benchmarks/card_images.py).
        scoring=Scoring(n_effect=500),
        hosts=("random", "hard"),
        roles=("canary", "placebo"),
        measure="card",
    )


EVIDENCE = range(1000, 1100)  # seeds of the populations that decide a claim, see the plan
# Hosts of the released notebook on MNIST, all of them with the seed that the released code has for every model.
RELEASED = ("52734", "15725", "54370", "17730", "28030", "15377", "7763", "46203", "58937", "23766")
RELEASED_SEED = 123


def sweeps() -> dict[str, Sweep]:
    """All that the paper profile trains, by the name of its folder under book/records."""
    chapters = {
        name: Sweep(protocol(name, "paper"), range(one.seeds["paper"]), one.seeds["paper"], 0)
        for name, one in CHAPTERS.items()
    }
    released = Protocol("mnist", training=Training(early_stopping="released"), hosts=RELEASED)
    return chapters | {
        "as-released": Sweep(released, range(RELEASED_SEED, RELEASED_SEED + 1), 1, 0),
        "mnist-small": Sweep(population("mnist", 10_000), EVIDENCE, 100, 1),
        "fashion_mnist-small": Sweep(population("fashion_mnist", 10_000), EVIDENCE, 100, 1),
        "mnist-full": Sweep(population("mnist"), EVIDENCE, 40, 2),
        "fashion_mnist-full": Sweep(population("fashion_mnist"), EVIDENCE, 20, 2),
    }


def chapter(name: str) -> Chapter:
    """The chapter of this name; a ValueError lists the known ones."""
    if name not in CHAPTERS:
        raise ValueError(f"no notebook {name!r}; known: {', '.join(CHAPTERS)}")
    return CHAPTERS[name]


def protocol(name: str, profile: str, **changes: object) -> Protocol:
    """The chapter's protocol under a profile, with those changes that are not None.

    Changes are fields of `Protocol` or `Scoring`. Raises ValueError for an unknown chapter or profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile: {profile!r} is not one of {', '.join(PROFILES)}")
    changes = chapter(name).changes | {key: value for key, value in changes.items() if value is not None}
    scoring = {one.name: changes.pop(one.name) for one in fields(Scoring) if one.name in changes}
    base = PROFILES[profile]
    return replace(base, scoring=replace(base.scoring, **scoring), **changes)
