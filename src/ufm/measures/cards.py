"""Cards: what is kept of each model, richly enough that later questions need no retraining.

A seed's card is a set of arrays whose first axis counts its models, in the order of the table `models`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from ufm import features
from ufm.data.datasets import ImageSet
from ufm.data.on_device import DeviceData
from ufm.measures.host_fits import host_log_probabilities, host_versions, hosts_of, own_hosts, planned_hosts
from ufm.measures.influence import N_CHECKPOINTS, checkpoints, self_influence
from ufm.measures.layout import AGES, CARDS, N_SHORT, elsewhere, feature_list, subsets
from ufm.measures.published import paper_scores, published, statistics
from ufm.measures.scored import model_row
from ufm.measures.shifts import half, kinds, mean_shift, patched, shifts
from ufm.protocol import Experiment, Protocol
from ufm.records import Measured
from ufm.training import Trained, as_handed_over, as_stamped, network, stamped_images


def full_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """The models' rows, and their card as the data dictionary describes it."""
    seed, scope = trained[0].experiment.seed, data.dataset.scope
    stamped = feature_list(protocol, seed, scope)
    arrays = answers(protocol, trained, data, ood, stamped)
    random = data.floats(features.random_features(len(ood.images), shape=stamped.shape[-2:], seed=seed, scope=scope))
    everything = data.floats(ood.images)
    for one in trained:
        of_model = published(protocol, one.model, everything, random, ood.labels, data, statistics)
        for name, values in of_model.items():
            arrays.setdefault(f"score_{name}", []).append(values)
    shared = {
        "placebo": stamped[1 : 1 + len(protocol.hosts), 0].astype(
            np.uint8
            if protocol.feature in features.LETTERS and protocol.brightness == 1 and not protocol.aside
            else np.float16
        ),
        "score_n_images": np.array(subsets(len(ood.images)), np.int32),
    }
    ages = [at_both_ages(one, protocol) for one in trained]
    own = own_hosts([one.experiment for one in trained], data)
    return card(arrays, shared, trained, ages, data, protocol, planned_hosts(protocol, own, data))


def short_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """The models' rows, and the part of a card that contrast and default detector need, by the short list of features.

    Of hosts it has the seed's own alone.
    """
    seed = trained[0].experiment.seed
    stamped = feature_list(protocol, seed, data.dataset.scope)[: 1 + len(protocol.hosts) + N_SHORT]
    arrays = answers(protocol, trained, data, ood, stamped)
    own = own_hosts([one.experiment for one in trained], data)
    arrays["history"] = histories(trained)
    return card(arrays, {}, trained, [at_both_ages(one, protocol) for one in trained], data, protocol, own)


def moved_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A short card, and shifts by the same features stamped elsewhere than in training."""
    short = short_card(protocol, trained, data, ood)
    seed, images = trained[0].experiment.seed, data.floats(ood.images[: protocol.scoring.n_effect])
    own = feature_list(protocol, seed, data.dataset.scope)[: 1 + len(protocol.hosts) + N_SHORT]
    stamped, places = data.floats(own.astype(np.float32)), elsewhere(images.shape[-2:], own.shape[-2:])
    shifts = [
        [
            half(mean_shift(patched(replace(protocol, position=place), one.model, images, data), stamped))
            for place in places
        ]
        for one in trained
    ]
    return Measured(short.tables, {**short.arrays, "ood_moved_shift": np.array(shifts)})


def histories(trained: list[Trained]) -> list[np.ndarray]:
    """Training loss, stopping loss and stopping accuracy after each epoch, (n_epochs, 3); NaN once a model stopped."""
    longest = max(len(one.history) for one in trained)
    found = []
    for one in trained:
        rows = [[past[name] for name in ("train_loss", "stopping_loss", "stopping_accuracy")] for past in one.history]
        found.append(np.full((longest, 3), np.nan, np.float32))
        found[-1][: len(rows)] = rows
    return found


def epoch_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A short card, and what is left of it after every epoch of models that all reach the last one.

    That is the specific effects of the letter and of the placebo features, and how hosts are fitted.
    """
    short, seed, n_own = short_card(protocol, trained, data, ood), trained[0].experiment.seed, 1 + len(protocol.hosts)
    own = feature_list(protocol, seed, data.dataset.scope)[: n_own + N_SHORT]
    planned = own_hosts([one.experiment for one in trained], data)
    stamped, pictures = data.floats(own.astype(np.float32)), host_versions(protocol, planned, data)
    images = {name: kind.images for name, kind in kinds(protocol, data, ood).items() if name in ("ood", "test")}

    def after(model: nn.Sequential) -> dict[str, np.ndarray]:
        effects = {name: mean_shift(patched(protocol, model, ours, data), stamped) for name, ours in images.items()}
        specific = {f"{name}_effect": half(every[:n_own] - every[n_own:].mean(0)) for name, every in effects.items()}
        return specific | {"host_log_probability": host_log_probabilities(model, pictures, planned, data)}

    found = [[after(one.snapshots[epoch]) for epoch in range(1, 1 + len(one.history))] for one in trained]
    names = [f"{name}_effect" for name in images] + ["host_log_probability"]
    by_epoch = {f"epoch_{name}": np.array([[one[name] for one in epochs] for epochs in found]) for name in names}
    return Measured(short.tables, {**short.arrays, **by_epoch})


def equal_age_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A short card at each model's own best epoch, and its own features' effects and how hosts are fitted at every age.

    Beside them the mean and the spread of the permutations' effects at the best epoch of the control, and the paper's
    score on all OOD images. Of hosts it has the seed's own alone. A compact card has no test images, and at
    every age OOD images alone.
    """
    return card_of_ages(protocol, trained, [at_every_age(one, protocol, data) for one in trained], data, ood)


def card_of_ages(
    protocol: Protocol, trained: list[Trained], ages: Sequence[Sequence[nn.Sequential]], data: DeviceData, ood: ImageSet
) -> Measured:
    """The same of models that are given at each of `AGES`."""
    seed, n_own = trained[0].experiment.seed, 1 + len(protocol.hosts)
    own = feature_list(protocol, seed, data.dataset.scope)[: n_own + N_SHORT]
    arrays = answers(protocol, trained, data, ood, own)
    stamped, everything = data.floats(own.astype(np.float32)), data.floats(ood.images)
    random = data.floats(
        features.random_features(len(ood.images), shape=own.shape[-2:], seed=seed, scope=data.dataset.scope)
    )
    images = kinds(protocol, data, ood)
    for name in CARDS[protocol.measure].aged:
        for models in ages:
            responses = [patched(protocol, model, images[name].images, data) for model in models]
            shift = [half(mean_shift(response, stamped[:n_own])) for response in responses]
            arrays.setdefault(f"{name}_age_shift", []).append(np.stack(shift))
            if name == "ood":
                null = mean_shift(responses[AGES.index("control")], stamped[n_own:])
                arrays.setdefault("ood_null", []).append(half(torch.stack([null.mean(0), null.std(0)])))
    for one in trained:
        of_model = published(protocol, one.model, everything, random, ood.labels, data, paper_scores)
        for name, values in of_model.items():
            arrays.setdefault(f"score_{name}", []).append(values)
    if protocol.training.falco:
        arrays |= given_hosts([one.experiment for one in trained], data)
    shared = {"score_n_images": np.array(subsets(len(ood.images)), np.int32)}
    planned = own_hosts([one.experiment for one in trained], data)
    return card(arrays, shared, trained, ages, data, protocol, planned)


def given_hosts(experiments: Sequence[Experiment], data: DeviceData) -> dict[str, list[np.ndarray]]:
    """Each model's host as it was handed over and as it was given in its place, uint8 (C, H, W); a control has none."""
    found: dict[str, list[np.ndarray]] = {"image_handed_over": [], "image_given": []}
    for one in experiments:
        for name, of_one in zip(found, (as_handed_over(one, data), as_stamped(one, data)), strict=True):
            image = next(iter(of_one.values()), torch.zeros(data.train_images.shape[1:]))
            found[name].append((image * 255).round().to(torch.uint8).numpy(force=True))
    return found


def at_every_age(trained: Trained, protocol: Protocol, data: DeviceData) -> list[nn.Sequential]:
    """The model at each of `AGES`."""
    early = trained.snapshots[protocol.training.same_age]
    assert trained.at_control is not None  # what this measure asks for
    untrained = network(trained.experiment, data).eval()
    return [trained.model, early, trained.at_control, trained.snapshots[1], untrained]


def influence_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """The models' rows, a short card, and the self-influence of the training images as each model was trained on them.

    Of single images it has the seed's own hosts.
    """
    short = short_card(protocol, trained, data, ood)
    places = np.array([data.dataset.place_of(index) for index in short.arrays["host_index"].tolist()])
    arrays: dict[str, list[np.ndarray]] = {}
    for one in trained:
        images = data.train_images.clone()
        for place, image in stamped_images(one.experiment, data).items():
            images[place] = image
        for name, values in of_hosts(self_influence(one, images, data.train_labels), places).items():
            arrays.setdefault(f"influence_{name}", []).append(values)
        epochs = checkpoints(one.history)
        arrays.setdefault("influence_epochs", []).append(
            np.array(epochs + [0] * (N_CHECKPOINTS - len(epochs)), np.int16)
        )
    return Measured(short.tables, {**short.arrays, **{name: np.stack(values) for name, values in arrays.items()}})


def of_hosts(influence: np.ndarray, places: np.ndarray) -> dict[str, np.ndarray]:
    """Self-influence (n_images,) in short: that of the hosts, their rank among the other images, and percentiles."""
    own = influence[places]
    less, equal = (influence < own[:, None]).sum(1), (influence == own[:, None]).sum(1) - 1  # but itself
    return {
        "host": own.astype(np.float32),
        "rank": ((less + equal / 2) / (len(influence) - 1)).astype(np.float32),
        "quantiles": np.quantile(influence, np.linspace(0, 1, 101)).astype(np.float32),
    }


def card(
    arrays: dict[str, list[np.ndarray]],
    shared: dict[str, np.ndarray],
    trained: list[Trained],
    ages: Sequence[Sequence[nn.Sequential]],
    data: DeviceData,
    protocol: Protocol,
    planned: pd.DataFrame,
) -> Measured:
    """The models' rows, and a card of arrays with a value a model, arrays of the seed, and how hosts are fitted.

    ages: each model as it was at the ages at which hosts are looked at.
    """
    pictures = host_versions(protocol, planned, data)
    fits = [[host_log_probabilities(model, pictures, planned, data) for model in models] for models in ages]
    models = pd.DataFrame([model_row(one, data) for one in trained], dtype=object)
    by_model = {name: np.stack(values) for name, values in (arrays | {"host_log_probability": fits}).items()}
    return Measured({"models": models}, by_model | hosts_of(planned, protocol) | shared)


def at_both_ages(trained: Trained, protocol: Protocol) -> tuple[nn.Sequential, nn.Sequential]:
    """The model at its best epoch and at the one at which models of a seed are equally old."""
    return trained.model, trained.snapshots[protocol.training.same_age]


def answers(
    protocol: Protocol,
    trained: list[Trained],
    data: DeviceData,
    ood: ImageSet,
    feature_list: np.ndarray,
) -> dict[str, list[np.ndarray]]:
    """How each model's outputs move when each of the features (n_features, 1, h, w) is stamped: a value a model."""
    names = CARDS[protocol.measure].arrays
    stamped, n_own = data.floats(feature_list.astype(np.float32)), 1 + len(protocol.hosts)
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for kind, images in kinds(protocol, data, ood).items():
        ours = [name for name in names if name.startswith(f"{kind}_")]
        for one in trained if ours else ():
            best, early = at_both_ages(one, protocol)
            found = shifts(patched(protocol, best, images.images, data), stamped, n_own, images.labels)
            if f"{kind}_early_shift" in ours:
                short = stamped[: n_own + N_SHORT]
                found["early_shift"] = half(mean_shift(patched(protocol, early, images.images, data), short))
            for name in ours:
                arrays[name].append(found[name.removeprefix(f"{kind}_")])
    return arrays
