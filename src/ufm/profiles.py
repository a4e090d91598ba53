"""Two sets of defaults for the notebooks: *embedded* trains small models in seconds, *paper* is the real thing."""

from dataclasses import dataclass, fields, replace

from ufm.experiments import Protocol, Scoring, Training
from ufm.models import MLP


@dataclass(frozen=True)
class Profile:
    """What a notebook does unless its parameters say otherwise."""

    protocol: Protocol
    seeds: dict[str, int]  # planned seeds of each notebook


PROFILES = {
    # No file but the packages is needed. Float64 and a fixed number of epochs, so that another processor's rounding
    # neither grows nor moves the best epoch; a quarter of the paper's width, so that it is quick.
    "embedded": Profile(
        Protocol(
            dataset="digits",
            model=MLP(hidden=(128, 64)),
            training=Training(batch_size=32, epochs=12, early_stopping="none", precision="float64"),
            scoring=Scoring(ood_set="photo_patches", n_ood=500, n_effect=200, n_permutations=20),
        ),
        {"method": 1, "mlp": 4},
    ),
    "paper": Profile(Protocol(dataset="mnist"), {"method": 1, "mlp": 20}),
}


def get(name: str) -> Profile:
    """The profile of this name; a ValueError lists the known ones."""
    if name not in PROFILES:
        raise ValueError(f"profile: {name!r} is not one of {', '.join(PROFILES)}")
    return PROFILES[name]


def protocol(profile: str, **changes: object) -> Protocol:
    """The profile's protocol with those changes that are not None; a change of a scoring setting goes there."""
    base = get(profile).protocol
    changes = {name: value for name, value in changes.items() if value is not None}
    scoring = {field.name: changes.pop(field.name) for field in fields(Scoring) if field.name in changes}
    return replace(base, scoring=replace(base.scoring, **scoring), **changes)
