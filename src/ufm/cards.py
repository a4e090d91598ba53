"""Cards: what is kept of each model, richly enough that later questions need no retraining.

A seed's card is a set of arrays whose first axis counts its models, in the order of the table `models`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from scipy.stats import mannwhitneyu, ttest_rel
from torch import nn

from ufm import features, hosts, scores
from ufm.card_layout import AGES, EQUAL_AGE, INPUTS, LONG, N_SHORT, SHORT, elsewhere, feature_list, subsets
from ufm.datasets import ImageSet
from ufm.device_data import DeviceData
from ufm.experiments import Protocol, placebo
from ufm.influence import N_CHECKPOINTS, checkpoints, self_influence
from ufm.measurement import model_row
from ufm.patched import Patched
from ufm.records import Measured
from ufm.training import Trained, log_probabilities, network, stamped_images

CONTRAST = 0.3  # of the images on which a model is less sure
IMAGES_AT_ONCE = 5_000  # for the published score


@dataclass(frozen=True, eq=False)
class Kind:
    """Images of a kind on which shifts are measured."""

    images: torch.Tensor  # (n_images, C, H, W) in [0, 1]
    labels: torch.Tensor | None  # (n_images,), where shifts are kept by label too


def kinds(protocol: Protocol, data: DeviceData, ood: ImageSet) -> dict[str, Kind]:
    """The kinds of images of a card by name: OOD, reported test images, OOD at low contrast, one black image."""
    n, device = protocol.scoring.n_effect, data.train_images.device
    first = data.floats(ood.images[:n])
    labels = torch.tensor(ood.labels[:n], device=device)
    mean = first.mean((1, 2, 3), keepdim=True)
    # Evenly spaced, since the first half of MNIST's test images is easier than the second.
    n_reported = len(data.reported)
    spread = np.arange(min(n, n_reported)) * n_reported // min(n, n_reported)
    return {
        "ood": Kind(first, labels),
        "test": Kind(data.floats(data.data.test_images[data.reported[spread]]), data.reported_labels[spread]),
        "dim": Kind(mean + CONTRAST * (first - mean), labels),
        "black": Kind(torch.zeros_like(first[:1]), None),
    }


def full_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """The models' rows, and their card as the data dictionary describes it."""
    seed, scope = trained[0].experiment.seed, data.data.scope
    stamped = feature_list(protocol, seed, scope)
    arrays = answers(protocol, trained, data, ood, stamped)
    random = data.floats(features.random_features(len(ood.images), shape=stamped.shape[-2:], seed=seed, scope=scope))
    everything = data.floats(ood.images)
    for one in trained:
        for name, values in published(protocol, one.model, everything, random, ood.labels, data).items():
            arrays.setdefault(f"score_{name}", []).append(values)
    shared = {
        "placebo": stamped[1 : 1 + len(protocol.hosts), 0].astype(
            np.uint8 if protocol.feature in features.LETTERS and protocol.brightness == 1 else np.float16
        ),
        "score_n_images": np.array(subsets(len(ood.images)), np.int32),
    }
    return card(arrays, shared, trained, data, protocol, planned_hosts(protocol, seed, data))


def short_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """The models' rows, and the part of a card that contrast and default detector need, by the short list of features.

    Of hosts it has the seed's own alone.
    """
    seed = trained[0].experiment.seed
    stamped = feature_list(protocol, seed, data.data.scope)[: 1 + len(protocol.hosts) + N_SHORT]
    arrays = answers(protocol, trained, data, ood, stamped, SHORT)
    own = planned_hosts(replace(protocol, planned=(0, 0)), seed, data)
    arrays["history"] = histories(trained)
    return card(arrays, {}, trained, data, protocol, own)


def moved_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A short card, and shifts by the same features stamped elsewhere than in training."""
    short = short_card(protocol, trained, data, ood)
    seed, images = trained[0].experiment.seed, data.floats(ood.images[: protocol.scoring.n_effect])
    own = feature_list(protocol, seed, data.data.scope)[: 1 + len(protocol.hosts) + N_SHORT]
    stamped, places = data.floats(own.astype(np.float32)), elsewhere(images.shape[-2:], own.shape[-2:])
    shifts = [
        [
            half(mean_shift(patched(replace(protocol, position=place), one.model, images, data), stamped))
            for place in places
        ]
        for one in trained
    ]
    return Measured(short.tables, short.arrays | {"ood_moved_shift": np.array(shifts)})


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
    own = feature_list(protocol, seed, data.data.scope)[: n_own + N_SHORT]
    planned = planned_hosts(replace(protocol, planned=(0, 0)), seed, data)
    stamped, pictures = data.floats(own.astype(np.float32)), host_versions(protocol, planned, data)
    images = {name: kind.images for name, kind in kinds(protocol, data, ood).items() if name in ("ood", "test")}

    def after(model: nn.Sequential) -> dict[str, np.ndarray]:
        effects = {name: mean_shift(patched(protocol, model, ours, data), stamped) for name, ours in images.items()}
        specific = {f"{name}_effect": half(every[:n_own] - every[n_own:].mean(0)) for name, every in effects.items()}
        return specific | {"host_log_probability": host_log_probabilities(model, pictures, planned, data)}

    found = [[after(one.snapshots[epoch]) for epoch in range(1, 1 + len(one.history))] for one in trained]
    names = [f"{name}_effect" for name in images] + ["host_log_probability"]
    by_epoch = {f"epoch_{name}": np.array([[one[name] for one in epochs] for epochs in found]) for name in names}
    return Measured(short.tables, short.arrays | by_epoch)


def equal_age_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A short card at each model's own best epoch, and its own features' effects and how hosts are fitted at every age.

    Beside them the mean and the spread of the permutations' effects at the best epoch of the control, and the paper's
    score on all OOD images. Of hosts it has the seed's own alone.
    """
    seed, n_own = trained[0].experiment.seed, 1 + len(protocol.hosts)
    own = feature_list(protocol, seed, data.data.scope)[: n_own + N_SHORT]
    arrays = answers(protocol, trained, data, ood, own, EQUAL_AGE)
    stamped, everything = data.floats(own.astype(np.float32)), data.floats(ood.images)
    random = data.floats(
        features.random_features(len(ood.images), shape=own.shape[-2:], seed=seed, scope=data.data.scope)
    )
    for name, kind in kinds(protocol, data, ood).items():
        for one in trained:
            ages = [patched(protocol, model, kind.images, data) for model in at_every_age(one, protocol, data)]
            shift = [half(mean_shift(model, stamped[:n_own])) for model in ages]
            arrays.setdefault(f"{name}_age_shift", []).append(np.stack(shift))
            if name == "ood":
                null = mean_shift(ages[AGES.index("control")], stamped[n_own:])
                arrays.setdefault("ood_null", []).append(half(torch.stack([null.mean(0), null.std(0)])))
    for one in trained:
        for name, values in published(protocol, one.model, everything, random, ood.labels, data, paper_scores).items():
            arrays.setdefault(f"score_{name}", []).append(values)
    shared = {"score_n_images": np.array(subsets(len(ood.images)), np.int32)}
    planned = planned_hosts(replace(protocol, planned=(0, 0)), seed, data)
    return card(arrays, shared, trained, data, protocol, planned, lambda one: at_every_age(one, protocol, data))


def at_every_age(trained: Trained, protocol: Protocol, data: DeviceData) -> list[nn.Sequential]:
    """The model at each of `AGES`."""
    early = trained.snapshots[protocol.training.same_age]
    untrained = network(trained.experiment, data).eval()
    return [trained.model, early, trained.at_control, trained.snapshots[1], untrained]


def influence_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """The models' rows, a short card, and the self-influence of the training images as each model was trained on them.

    Of single images it has the seed's own hosts.
    """
    short = short_card(protocol, trained, data, ood)
    places = np.searchsorted(data.data.train_indices, short.arrays["host_index"])
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
    return Measured(short.tables, short.arrays | {name: np.stack(values) for name, values in arrays.items()})


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
    data: DeviceData,
    protocol: Protocol,
    planned: pd.DataFrame,
    ages: Callable[[Trained], list[nn.Sequential]] | None = None,
) -> Measured:
    """The models' rows, and a card of arrays with a value a model, arrays of the seed, and how hosts are fitted.

    ages: of a model, at which hosts are looked at; the best epoch and the early one where nothing else is said.
    """
    pictures = host_versions(protocol, planned, data)
    fits = [
        [
            host_log_probabilities(model, pictures, planned, data)
            for model in (ages(one) if ages else at_both_ages(one, protocol))
        ]
        for one in trained
    ]
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
    names: Collection[str] = LONG,
) -> dict[str, list[np.ndarray]]:
    """How each model's outputs move when each of the features (n_features, 1, h, w) is stamped: a value a model.

    names: of the card's arrays that are wanted.
    """
    stamped, n_own = data.floats(feature_list.astype(np.float32)), 1 + len(protocol.hosts)
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for kind, images in kinds(protocol, data, ood).items():
        ours = [name for name in names if name.startswith(f"{kind}_")]
        for one in trained if ours else ():
            best, early = at_both_ages(one, protocol)
            found = shifts(protocol, best, images, stamped, n_own, data)
            if f"{kind}_early_shift" in ours:
                short = stamped[: n_own + N_SHORT]
                found["early_shift"] = half(mean_shift(patched(protocol, early, images.images, data), short))
            for name in ours:
                arrays[name].append(found[name.removeprefix(f"{kind}_")])
    return arrays


def patched(protocol: Protocol, model: nn.Sequential, images: torch.Tensor, data: DeviceData) -> Patched:
    """The model on images (n_images, C, H, W) in [0, 1] of which a rectangle of the feature's size changes."""
    normalise = data.normalise if protocol.scoring.inputs == "normalised" else lambda batch: batch
    return Patched(model, images, normalise=normalise, position=protocol.position, shape=protocol.unique.shape)


def mean_shift(images: Patched, stamped: torch.Tensor) -> torch.Tensor:
    """Patch effect (n_features, n_classes) in nats: mean shift of the centred log-probability by each feature."""
    # Centred logits are centred log-probabilities, and centring commutes with the mean.
    shift = images.logits(stamped).mean(1, dtype=torch.float64) - images.clean.mean(0, dtype=torch.float64)
    return shift - shift.mean(-1, keepdim=True)


def shifts(
    protocol: Protocol, model: nn.Sequential, kind: Kind, stamped: torch.Tensor, n_own: int, data: DeviceData
) -> dict[str, np.ndarray]:
    """What a card keeps of one model at its best epoch on images of a kind."""
    images = patched(protocol, model, kind.images, data)
    log_clean = images.clean.log_softmax(-1)
    p_clean, floor = log_clean.exp(), float(np.log(scores.CLIP))
    n_short = n_own + N_SHORT
    found: dict[str, list[torch.Tensor]] = {}
    for start in range(0, len(stamped), 8):  # so many that a processor's cache holds them
        logits = images.logits(stamped[start : start + 8])
        log_p = logits.log_softmax(-1)
        shift = (logits - images.clean).double()
        shift = shift - shift.mean(-1, keepdim=True)
        kl = (p_clean.clamp(scores.CLIP) * (log_clean.clamp(floor) - log_p.clamp(floor))).sum(-1)
        found.setdefault("shift", []).append(shift.mean(1))
        found.setdefault("kl_mean", []).append(kl.mean(1, dtype=torch.float64))
        found.setdefault("kl_sd", []).append(kl.double().std(1, correction=0))
        gain = (log_p.exp() - p_clean).double()
        found.setdefault("probability", []).append(gain.mean(1))
        if start < n_own and kind.labels is not None:
            by_label = (kind.labels[:, None] == torch.arange(data.data.n_classes, device=kind.labels.device)).double()
            weights = (by_label / by_label.sum(0).clamp(min=1)).T  # (n_labels, n_images)
            found.setdefault("shift_by_label", []).append(weights @ shift[: n_own - start])
            found.setdefault("probability_by_label", []).append(weights @ gain[: n_own - start])
    joined = {name: half(torch.cat(parts)) for name, parts in found.items()}
    if kind.labels is None:  # one image has no spread
        del joined["kl_sd"]
    return joined | {"probability": joined["probability"][:n_short]}


def planned_hosts(protocol: Protocol, seed: int, data: DeviceData) -> pd.DataFrame:
    """The hosts of all planned seeds that train on this part, and the seed's own.

    Columns: seed, host, canary_index, canary_label; a row per seed and kind of host.
    """
    seeds = [one for one in range(*protocol.planned) if one % data.data.n_parts == data.data.part]
    seeds = list(dict.fromkeys([*seeds, seed]))
    places = [hosts.places(protocol, host, seeds, data.data) for host in protocol.hosts]
    rows = [
        {
            "seed": one,
            "host": host,
            "canary_index": data.data.train_indices[place],
            "canary_label": data.data.train_labels[place],
            "place": place,
        }
        for one, of_seed in zip(seeds, zip(*places, strict=True), strict=True)
        for host, place in zip(protocol.hosts, of_seed, strict=True)
    ]
    return pd.DataFrame(rows)


def hosts_of(planned: pd.DataFrame, protocol: Protocol) -> dict[str, np.ndarray]:
    """The columns of `planned_hosts` as arrays of a card."""
    return {
        "host_seed": planned["seed"].to_numpy(np.int32),
        "host_kind": planned["host"].map(list(protocol.hosts).index).to_numpy(np.int8),
        "host_index": planned["canary_index"].to_numpy(np.int32),
        "host_label": planned["canary_label"].to_numpy(np.int8 if planned["canary_label"].max() < 128 else np.int16),
    }


def host_versions(protocol: Protocol, planned: pd.DataFrame, data: DeviceData) -> torch.Tensor:
    """Each host plain, with the feature and with its own seed's placebo feature, normalised: (n_hosts * 3, C, H, W)."""
    unique, versions = protocol.unique, []
    for row in planned.itertuples():
        image = data.floats(data.data.train_images[row.place])
        other = placebo(protocol, unique, row.seed, row.host, data.data.scope)
        stamped = (features.insert(image, one, position=protocol.position) for one in (unique, other))
        versions += [image, *stamped]
    return data.normalise(torch.stack(versions))


def host_log_probabilities(
    model: nn.Sequential, versions: torch.Tensor, planned: pd.DataFrame, data: DeviceData
) -> np.ndarray:
    """Log-probability (n_hosts, 3) of each host's label on its three versions, in nats."""
    labels = torch.tensor(planned["canary_label"].to_numpy(np.int64), device=versions.device)
    log_p = log_probabilities(model, versions).view(len(planned), 3, -1)
    return half(log_p.gather(2, labels[:, None, None].expand(-1, 3, 1))[..., 0])


def published(
    protocol: Protocol,
    model: nn.Sequential,
    images: torch.Tensor,
    random: torch.Tensor,
    labels: np.ndarray,
    data: DeviceData,
    of: Callable[..., dict[str, np.ndarray]] | None = None,
) -> dict[str, np.ndarray]:
    """The published scores on all OOD images, for normalised and for raw scoring inputs along the first axis.

    images: (n_images, C, H, W) in [0, 1]; random: (n_images, 1, h, w), a fresh random feature for each. of: which
    scores, `statistics` where nothing else is said.
    """
    unique = data.floats(protocol.unique[None, None])
    found: dict[str, list[np.ndarray]] = {}
    for inputs in INPUTS:
        given, parts = replace(protocol, scoring=replace(protocol.scoring, inputs=inputs)), []
        for batch, own in zip(images.split(IMAGES_AT_ONCE), random.split(IMAGES_AT_ONCE), strict=True):
            few = patched(given, model, batch, data)
            three = torch.cat([few.clean[None], few.logits(unique), few.logits(own[None])])
            parts.append(three.softmax(-1).double().cpu().numpy())
        p_clean, p_unique, p_random = np.concatenate(parts, axis=1)
        for name, values in (of or statistics)(p_clean, p_unique, p_random, labels).items():
            found.setdefault(name, []).append(values)
    return {name: np.stack(values) for name, values in found.items()}


def statistics(
    p_clean: np.ndarray, p_unique: np.ndarray, p_random: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """The published scores and rules, from outputs (n_images, n_classes)."""
    kl_unique, kl_random = scores.kl_divergence(p_clean, p_unique), scores.kl_divergence(p_clean, p_random)
    rules = []
    for n in subsets(len(labels)):
        t_test = ttest_rel(kl_unique[:n], kl_random[:n])
        ranks = mannwhitneyu(kl_unique[:n], kl_random[:n])
        rules.append((t_test.statistic, t_test.pvalue, ranks.statistic / n**2, ranks.pvalue))
    t_statistic, t_p, rank_share, rank_p = np.array(rules).T
    n_classes = p_clean.shape[1]
    by_label = (labels[:, None] == np.arange(n_classes)).astype(float)
    counts = by_label.sum(0)[:, None]

    def mean_by_label(values: np.ndarray) -> np.ndarray:
        return by_label.T @ values / np.maximum(counts, 1)

    logs = [np.log(np.clip(p, scores.CLIP, 1)) for p in (p_unique, p_random)]
    gain = p_unique - p_clean
    return {
        **paper_scores(p_clean, p_unique, p_random, labels),
        "kl_unique": np.float32(kl_unique.mean()),
        "kl_random": np.float32(kl_random.mean()),
        "t_statistic": t_statistic.astype("f4"),
        "t_p": t_p,
        "rank_share": rank_share.astype("f4"),
        "rank_p": rank_p,
        "label_known": mean_by_label(logs[0] - logs[1]).astype("f2"),
        "gain_mean": mean_by_label(gain).astype("f2"),
        "gain_sd": np.sqrt(np.maximum(mean_by_label(gain**2) - mean_by_label(gain) ** 2, 0)).astype("f2"),
        "guess": (p_unique - p_random).mean(0).astype("f4"),
        "entropy": np.array([entropy(p).mean() for p in (p_clean, p_unique, p_random)], "f4"),
        "js_distance": np.array([js_distance(p_clean, p).mean() for p in (p_unique, p_random)], "f4"),
    }


def paper_scores(
    p_clean: np.ndarray, p_unique: np.ndarray, p_random: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """The paper's score M on nested subsets, (n_subsets,), from outputs (n_images, n_classes)."""
    kl_unique, kl_random = scores.kl_divergence(p_clean, p_unique), scores.kl_divergence(p_clean, p_random)
    return {"memorisation": np.array([kl_unique[:n].mean() - kl_random[:n].mean() for n in subsets(len(labels))], "f4")}


def entropy(p: np.ndarray) -> np.ndarray:
    """Shannon entropy (n_images,) in nats of p (n_images, n_classes), clipped as the scores are."""
    p = np.clip(p, scores.CLIP, 1)
    return -(p * np.log(p)).sum(-1)


def js_distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen–Shannon distance (n_images,), the square root of the divergence in nats, of rows (n_images, n_classes)."""
    p, q = (np.clip(one, scores.CLIP, 1) for one in (p, q))
    middle = (p + q) / 2
    divergence = ((p * np.log(p / middle)).sum(-1) + (q * np.log(q / middle)).sum(-1)) / 2
    return np.sqrt(np.maximum(divergence, 0))


def half(values: torch.Tensor) -> np.ndarray:
    """As float16, half a thousandth of precision, which is all that a shift needs."""
    return values.cpu().numpy().astype(np.float16)
