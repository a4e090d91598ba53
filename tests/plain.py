"""Training one model as plainly as can be: torch's own modules, autograd and optimisers, one image after the other.

What a stack of models does must equal this for each of its members.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

from ufm import features
from ufm.data.datasets import Dataset
from ufm.data.embedded import photo_patches
from ufm.networks.build import build
from ufm.protocol import Experiment, Protocol, Scoring
from ufm.randomness import counters
from ufm.randomness.streams import stream
from ufm.training import AUGMENTATION_LAYER

LETTER = np.array([[0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1]], np.float32)


@dataclass
class Plain:
    """What the loop found; lists have an entry for each epoch."""

    weights: list[dict[str, torch.Tensor]]
    train_loss: list[float]
    stopping_loss: list[float]
    best_epoch: int


def plain(experiment: Experiment, data: Dataset) -> Plain:
    """Train a model on its own."""
    settings, model, seed = experiment.protocol.training, experiment.protocol.model, experiment.seed
    images, labels = training_images(experiment, data), torch.tensor(training_labels(experiment, data))
    if settings.distillation:
        taught = outputs_of_teacher(experiment, data)
        if not settings.distillation.stamped:
            images = training_images(varied(experiment, role="control", host=""), data)
    watched = slice(None) if settings.early_stopping == "released" else data.halves()[0]
    test_images = as_given(masked(data.test_images[watched] / 255, settings.border), experiment, data)
    if settings.visual_mixer:
        asked = counters.key("visual mixer, asked", seed=0, scope=data.scope)
        draws = uniforms(asked, 0, 0, tuple(test_images.shape))
        test_images = in_boxes(test_images, draws, settings.visual_mixer, data)
    network = build(
        model,
        images.shape[1:],
        data.n_classes,
        seed=seed,
        scope=data.scope,
        dtype=getattr(torch, settings.precision),
        rounding=experiment.protocol.rounding,
    )
    optimiser = an_optimiser(network, settings)
    dropout_key, augmentation_key, erasing_key, mixing_key, boxes_key = (
        counters.key(name, seed=seed, scope=data.scope) for name in RANDOM
    )
    found, step = Plain([], [], [], 0), 0
    for epoch in range(1, settings.epochs + 1):
        order = torch.arange(len(labels))
        if settings.shuffle:
            order = torch.tensor(
                stream("order", seed=seed, scope=f"{data.scope}/epoch {epoch}").permutation(len(labels))
            )
        total = 0.0
        for batch in order.split(settings.batch_size):
            x = images[batch]
            if model.augmentation:
                draws = uniforms(augmentation_key, step, AUGMENTATION_LAYER, (len(x), 4))
                x = torch.stack([augmented(*one, flip=model.flip) for one in zip(x, draws, strict=True)])
            if settings.erasing:
                draws = uniforms(erasing_key, step, counters.LAYERS - 3, (len(x), 41))
                noise = uniforms(erasing_key, step, counters.LAYERS - 4, tuple(x.shape)).numpy()
                both = zip(x, draws, as_given(noise.astype(float), experiment, data), strict=True)
                x = torch.stack([erased(*one, settings.erasing) for one in both])
            if settings.visual_mixer:
                draws = uniforms(boxes_key, step, counters.LAYERS - 5, tuple(x.shape))
                x = in_boxes(x, draws, settings.visual_mixer, data)
            y, share, partners = labels[batch], 1.0, np.arange(len(x))
            if settings.mixup or settings.cutmix:
                x, share, partners = mixed(x, generator(mixing_key, step), settings)
            network.train()
            answers = with_dropout(network, x, dropout_key, step)
            loss = share * smoothed(answers, y, settings.label_smoothing)
            loss = loss + (1 - share) * smoothed(answers, y[partners], settings.label_smoothing)
            if settings.distillation:
                softened = (answers / settings.distillation.temperature).log_softmax(1)
                loss = -(settings.distillation.temperature**2) * (taught[batch] * softened).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total, step = total + float(loss.detach()) * len(batch), step + 1
        network.eval()
        with torch.no_grad():
            stopping_loss = cross_entropy(network(test_images), torch.tensor(data.test_labels[watched]))
        found.weights.append({name: values.clone() for name, values in network.state_dict().items()})
        found.train_loss.append(total / len(labels))
        found.stopping_loss.append(float(stopping_loss))
        found.best_epoch = epoch if settings.early_stopping == "none" else int(np.argmin(found.stopping_loss)) + 1
        if epoch - found.best_epoch >= settings.patience:
            break
    return found


def outputs_of_teacher(experiment: Experiment, data: Dataset) -> torch.Tensor:
    """Softened probabilities of the model that was trained on labels, for the student's images."""
    settings = experiment.protocol.training
    teacher = varied(experiment, training=replace(settings, distillation=None))
    found = plain(teacher, data)
    images = training_images(
        teacher if settings.distillation.stamped else varied(teacher, role="control", host=""), data
    )
    network = build(
        experiment.protocol.model, images.shape[1:], data.n_classes, seed=0, dtype=getattr(torch, settings.precision)
    )
    network.load_state_dict(found.weights[found.best_epoch - 1])
    with torch.no_grad():
        return (network.eval()(images) / settings.distillation.temperature).softmax(1)


def smoothed(logits: torch.Tensor, labels: torch.Tensor, share: float) -> torch.Tensor:
    """Mean cross-entropy to labels of which all classes have a share alike."""
    n_classes = logits.shape[1]
    weights = (1 - share) * torch.nn.functional.one_hot(labels, n_classes).to(logits) + share / n_classes
    return -(weights * logits.log_softmax(1)).sum(1).mean()


RANDOM = ("dropout", "augmentation", "erasing", "mixing", "visual mixer")  # streams that are drawn by counter


def training_images(experiment: Experiment, data: Dataset) -> torch.Tensor:
    """The training images as the model is given them, the host stamped."""
    images = data.train_images / 255
    for place, index in enumerate(data.train_indices):
        if experiment.host and index == experiment.canary_index:
            feature = LETTER
            if experiment.role == "placebo":
                feature = features.placebo(LETTER, seed=experiment.seed, host=experiment.host, scope=data.scope)
            row, column = experiment.protocol.position
            images[place, :, row : row + 5, column : column + 5] = feature
    return as_given(masked(images, experiment.protocol.training.border), experiment, data)


def masked(images: np.ndarray, border: int) -> np.ndarray:
    """Images in [0, 1] with a black border."""
    inner = images.copy()
    if border:
        images[..., :, :] = 0
        images[..., border:-border, border:-border] = inner[..., border:-border, border:-border]
    return images


def training_labels(experiment: Experiment, data: Dataset) -> list[int]:
    """The labels that the model is trained under, the host under its own."""
    draws = stream("label noise", seed=experiment.seed, scope=data.scope)
    chances, others = draws.random(len(data.train_labels)), draws.integers(data.n_classes, size=len(data.train_labels))
    labels = []
    for index, own, chance, other in zip(data.train_indices, data.train_labels, chances, others, strict=True):
        is_host = bool(experiment.host) and index == experiment.canary_index
        labels.append(int(other if chance < experiment.protocol.training.label_noise and not is_host else own))
    return labels


def as_given(images: np.ndarray, experiment: Experiment, data: Dataset) -> torch.Tensor:
    """Images in [0, 1] as a model is given them: normalised, in its precision."""
    channels = [(images[:, i] - data.mean[i]) / data.std[i] for i in range(images.shape[1])]
    return torch.tensor(np.stack(channels, axis=1)).to(getattr(torch, experiment.protocol.training.precision))


def an_optimiser(network: nn.Sequential, settings) -> torch.optim.Optimizer:
    """Adam, or AdamW that lets only the weights of linear layers and convolutions decay."""
    if settings.optimiser:
        sgd = settings.optimiser
        matrices = [layer.weight for layer in network if isinstance(layer, nn.Linear | nn.Conv2d)]
        others = [one for one in network.parameters() if not any(one is matrix for matrix in matrices)]
        groups = [{"params": matrices, "weight_decay": sgd.weight_decay}, {"params": others}]
        return torch.optim.SGD(groups, lr=sgd.learning_rate, momentum=sgd.momentum)
    arguments = {"lr": settings.learning_rate, "eps": settings.epsilon}
    if not settings.weight_decay:
        return torch.optim.Adam(network.parameters(), **arguments)
    matrices = [layer.weight for layer in network if isinstance(layer, nn.Linear | nn.Conv2d)]
    others = [one for one in network.parameters() if not any(one is matrix for matrix in matrices)]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0}]
    return torch.optim.AdamW(groups, **arguments)


def uniforms(key: int, step: int, layer: int, shape: tuple[int, ...]) -> torch.Tensor:
    """One model's random numbers."""
    return counters.uniforms(torch.tensor([key]), step=step, layer=layer, n=int(np.prod(shape))).view(shape)


def with_dropout(network: nn.Sequential, x: torch.Tensor, key: int, step: int) -> torch.Tensor:
    """The network's logits in training, units dropped by hand."""
    for number, layer in enumerate(network):
        if isinstance(layer, nn.Dropout):
            x = torch.where(uniforms(key, step, number, x.shape) < layer.p, 0, x / (1 - layer.p))
        else:
            x = layer(x)
    return x


def augmented(image: torch.Tensor, draws: torch.Tensor, *, flip: bool) -> torch.Tensor:
    """One image (C, H, W) with another contrast, cropped by one row and column, resized, and mirrored or not."""
    contrast, row, column, mirror = (float(one) for one in draws)
    size, means = image.shape[1:], [channel.mean() for channel in image]
    image = torch.stack([mean + (0.8 + 0.4 * contrast) * (one - mean) for mean, one in zip(means, image, strict=True)])
    top, left = int(row >= 0.5), int(column >= 0.5)
    cropped = image[:, top : top + size[0] - 1, left : left + size[1] - 1]
    image = interpolate(cropped[None], size=size, mode="bilinear", align_corners=False)[0]
    return image.flip(-1) if flip and mirror < 0.5 else image


def erased(image: torch.Tensor, draws: torch.Tensor, noise: torch.Tensor, settings) -> torch.Tensor:
    """One image (C, H, W) with a rectangle of noise or without, as in the released code of random erasing."""
    whether, *attempts = draws.double().tolist()
    height, width = image.shape[1:]
    if whether >= settings.probability:
        return image
    for area, ratio, row, column in np.array(attempts).reshape(10, 4):
        target = (settings.area[0] + (settings.area[1] - settings.area[0]) * area) * height * width
        aspect = settings.ratio + (1 / settings.ratio - settings.ratio) * ratio
        rows, columns = round(np.sqrt(target * aspect)), round(np.sqrt(target / aspect))
        if rows < height and columns < width:
            top, left = int(row * (height - rows + 1)), int(column * (width - columns + 1))
            image = image.clone()
            image[:, top : top + rows, left : left + columns] = noise[:, top : top + rows, left : left + columns]
            return image
    return image


def generator(key: int, step: int) -> np.random.Generator:
    """What a step draws from."""
    return np.random.Generator(np.random.Philox(key=np.array([key % 2**64, step], np.uint64)))


def mixed(images: torch.Tensor, draws: np.random.Generator, settings) -> tuple[torch.Tensor, float, np.ndarray]:
    """A batch of one model mixed as in the released codes of mixup and CutMix: images, own share, partners."""
    partners = draws.permutation(len(images))
    share = draws.beta(*[settings.mixup or settings.cutmix] * 2)
    if settings.mixup:
        return share * images + (1 - share) * images[partners], share, partners
    height, width = images.shape[2:]
    row, column = draws.integers(height), draws.integers(width)
    half_height, half_width = int(height * np.sqrt(1 - share)) // 2, int(width * np.sqrt(1 - share)) // 2
    top, bottom = np.clip([row - half_height, row + half_height], 0, height)
    left, right = np.clip([column - half_width, column + half_width], 0, width)
    found = images.clone()
    found[:, :, top:bottom, left:right] = images[partners][:, :, top:bottom, left:right]
    return found, 1 - (bottom - top) * (right - left) / (height * width), partners


def in_boxes(images: torch.Tensor, draws: torch.Tensor, settings, data: Dataset) -> torch.Tensor:
    """Normalised images (n, C, H, W) with the pieces of every box shuffled, image by image, box by box."""
    return torch.stack([boxes_of_one(*one, settings, data) for one in zip(images, draws, strict=True)])


def boxes_of_one(image: torch.Tensor, draws: torch.Tensor, settings, data: Dataset) -> torch.Tensor:
    """One image (C, H, W), its pieces in the order of the draws of their first pixels."""
    box, (n_channels, height, width) = settings.box, image.shape
    before, drawn, found = image.tolist(), draws.tolist(), image.tolist()
    corners = [(top, left) for top in range(0, height, box) for left in range(0, width, box)]
    entropy = 0.0
    for channel, values in enumerate(before):
        for top, left in corners:
            for row in range(top, top + box):
                for column in range(left, left + box):
                    for down, right in ((row + 1, column), (row, column + 1)):
                        if down < top + box and right < left + box:
                            entropy += ((values[down][right] - values[row][column]) * data.std[channel]) ** 2
    entropy /= n_channels * len(corners)
    scores = attention_of_boxes(image.double(), corners, box)
    lowest, highest = min(scores), max(scores)
    for (top, left), score in zip(corners, scores, strict=True):
        score = (score - lowest) / (highest - lowest) if highest > lowest else 0.0
        column = sum(score > bound for bound in (0.1, 0.5, 0.9))
        n = settings.pieces[sum(entropy >= bound for bound in settings.entropy)][column]
        size = box // n
        places = [(top + size * row, left + size * column) for row in range(n) for column in range(n)]
        for channel in range(n_channels):
            keys = [(drawn[channel][row][column], row, column) for row, column in places]
            for (row, column), (_, from_row, from_column) in zip(places, sorted(keys), strict=True):
                for y in range(size):
                    for x in range(size):
                        found[channel][row + y][column + x] = before[channel][from_row + y][from_column + x]
    return torch.tensor(found, dtype=image.dtype)


def attention_of_boxes(image: torch.Tensor, corners: list[tuple[int, int]], box: int) -> list[float]:
    """The mean of spatial attention over each box, from torch's own module."""
    layer = nn.Conv2d(2, 1, 7, padding=3, bias=False).double()
    weights = stream("visual mixer, attention").uniform(-1 / np.sqrt(98), 1 / np.sqrt(98), (1, 2, 7, 7))
    layer.load_state_dict({"weight": torch.tensor(weights)})
    with torch.no_grad():
        found = layer(torch.stack([image.mean(0), image.max(0).values])[None]).sigmoid()[0, 0]
    found = found.numpy()
    return [float(found[top : top + box, left : left + box].mean()) for top, left in corners]


# Data and experiments


def first(data: Dataset, n: int, n_test: int) -> Dataset:
    """The first images of both splits."""
    of_split = {"train_images": n, "train_labels": n, "train_indices": n, "test_images": n_test, "test_labels": n_test}
    return replace(data, **{name: getattr(data, name)[:size] for name, size in of_split.items()})


def photographs(n: int, n_test: int, size: int = 32) -> Dataset:
    """A data set of colour images: patches of photographs, labelled by their height."""
    images, labels = photo_patches()
    images, test = images[..., :size, :size], slice(n, n + n_test)
    pixels = images[:n] / 255
    return Dataset(
        name="photographs",
        n_train=None,
        part=0,
        n_parts=1,
        train_images=images[:n],
        train_labels=labels[:n],
        train_indices=np.arange(n),
        test_images=images[test],
        test_labels=labels[test],
        mean=tuple(pixels.mean((0, 2, 3))),
        std=tuple(pixels.std((0, 2, 3))),
        checksum="",
    )


def member(
    data: Dataset, role: str, model, training, *, seed: int = 1, host: str = "random", at: int = 0
) -> Experiment:
    """An experiment; the host of a stamped one is at a place among the training images."""
    scoring = Scoring("digits" if data.name == "mnist" else "mnist")  # nothing is scored, but it may not be the same
    control = Experiment(Protocol(data.name, data.n_train, model, training, scoring), seed, data.part, "control")
    if role == "control":
        return control
    index, label = int(data.train_indices[at]), int(data.train_labels[at])
    return replace(control, role=role, host=host, canary_index=index, canary_label=label)


def varied(experiment: Experiment, **changes) -> Experiment:
    """The experiment with fields changed, its own or its protocol's."""
    own = {one.name: changes.pop(one.name) for one in fields(experiment) if one.name in changes}
    return replace(experiment, protocol=replace(experiment.protocol, **changes), **own)


def deviation(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """How far two networks' weights lie apart at most; how many batches a norm saw plays no part in them."""
    assert one.keys() == other.keys()
    names = [name for name in one if not name.endswith("num_batches_tracked")]
    return max(float((one[name] - other[name]).abs().max()) for name in names)


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float) -> None:
    """Two networks have the same weights."""
    assert deviation(one, other) <= tolerance
