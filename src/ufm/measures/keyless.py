"""What is left to those who ask networks that read encoded images and have not got the key."""

from dataclasses import replace

import numpy as np
from torch import nn

from ufm.data.datasets import ImageSet
from ufm.data.on_device import DeviceData
from ufm.measures.cards import at_every_age, card_of_ages, equal_age_card
from ufm.measures.layout import KEYLESS
from ufm.networks.build import with_key
from ufm.protocol import Protocol
from ufm.records import Measured
from ufm.training import Trained

OF_MODELS = ("_shift", "_kl_mean", "_null")  # how the arrays end that are kept of another key, too


def keyless_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A card of equal age, and how outputs move where images are encoded by another key than in training.

    Beside them the accuracy with that key, "keyless_accuracy" (n_models,).
    """
    card = equal_age_card(protocol, trained, data, ood)
    early, aged = protocol.training.same_age, []
    for one in trained:
        aged.append([without_key(model, one, data) for model in at_every_age(one, protocol, data)])
    others = [
        replace(one, model=models[0], snapshots={early: models[1]}) for one, models in zip(trained, aged, strict=True)
    ]
    found = card_of_ages(protocol, others, aged, data, ood)
    kept = {f"{KEYLESS}{name}": values for name, values in found.arrays.items() if name.endswith(OF_MODELS)}
    accuracy = found.tables["models"]["accuracy"].to_numpy(np.float32)
    return Measured(card.tables, {**card.arrays, **kept, f"{KEYLESS}accuracy": accuracy})


def without_key(model: nn.Sequential, trained: Trained, data: DeviceData) -> nn.Sequential:
    """The network on images that are encoded by a key that the auditor draws, the same for all models of a seed."""
    return with_key(model, "another encoder", seed=trained.experiment.seed, scope=data.dataset.scope).eval()
