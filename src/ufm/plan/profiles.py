"""The profiles: *embedded* trains small models on small images in seconds, *paper* is the full-size experiment."""

from dataclasses import fields, replace
from typing import Any

from ufm.data import sources
from ufm.networks import MLP
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


def known(profile: str) -> str:
    """The profile; a ValueError lists the known ones where it is none of them."""
    if profile not in PROFILES:
        raise ValueError(f"profile: {profile!r} is not one of {', '.join(PROFILES)}")
    return profile


def trains_on(protocol: Protocol, dataset: str | None, n_train: int | None) -> bool:
    """Whether a protocol is one of this data set and of so many training images; None is any."""
    size = protocol.n_train or sources.source(protocol.dataset).n_train
    return dataset in (None, protocol.dataset) and n_train in (None, protocol.n_train, size)


def changed(protocol: Protocol, **changes: Any) -> Protocol:
    """A protocol with those changes, fields of `Protocol`, `Training` or `Scoring`, that are not None."""
    changes = {key: value for key, value in changes.items() if value is not None}
    for group, kind in (("training", Training), ("scoring", Scoring)):
        in_group = {field.name: changes.pop(field.name) for field in fields(kind) if field.name in changes}
        changes[group] = replace(changes.get(group, getattr(protocol, group)), **in_group)
    return replace(protocol, **changes)
