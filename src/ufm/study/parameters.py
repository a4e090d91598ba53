"""Parameters of a notebook: what a chapter shows when a reader changes data, network, feature or seeds."""

from collections.abc import Collection
from dataclasses import replace
from itertools import accumulate

from ufm.data import sources
from ufm.data.folders import is_folder
from ufm.networks import MODELS, Model, NeuraCrypt, Published, of_variant
from ufm.plan import registry
from ufm.plan.cnns import QUARTER
from ufm.plan.profiles import PROFILES, changed, trains_on
from ufm.plan.sensitivity import SCORED, fitted, varied_in
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol, Training, hosts, overlap

CLASSES = 10  # as most images have
NARROW = {one.name: one for one in (PROFILES["embedded"].model, *QUARTER)}  # networks of the embedded profile by name


def shown(
    notebook: str,
    profile: str,
    *,
    dataset: str | None = None,
    n_train: int | None = None,
    seed: int | None = None,
    n_seeds: int | None = None,
    model: str | Model | None = None,
    variant: str | None = None,
    row: int | None = None,
    column: int | None = None,
    ood_set: str | None = None,
    n_ood: int | None = None,
    **changes: object,
) -> dict[str, Sweep]:
    """What a notebook shows with these parameters, by name; one that is None changes nothing.

    Data set and number of training images choose among the chapter's sweeps; where none is like that, its first sweep
    and those of the same images are changed to be, with hosts, seeds and places that these images have. The other
    changes go for each: the network (or its name) and its variant, row and column of the feature's top-left pixel, the
    OOD images, and fields of `Protocol`, `Training` or `Scoring`. Seeds start at `seed` and are `n_seeds`. What cannot
    be varied so is left out. Raises ValueError, naming the parameter.
    """
    if n_seeds is not None and n_seeds < 1:
        raise ValueError(f"n_seeds: at least one is needed, got {n_seeds}")
    if seed is not None and seed < 0:
        raise ValueError(f"seed: cannot be negative, got {seed}")
    planned = registry.sweeps(profile)
    theirs = {name: planned[name] for name in registry.chapter(notebook, profile)}
    if n_seeds is None and registry.of_one_seed(notebook):
        n_seeds = 1
    for parameter, name, own in (("dataset", dataset, ()), ("ood_set", ood_set, sources.SCORED_ON)):
        if name is not None and not is_folder(name):
            require(parameter, name, [*own, *sources.SOURCES, "the path of a folder"])
    like = {name: sweep for name, sweep in theirs.items() if trains_on(sweep.protocol, dataset, n_train)}
    elsewhere = bool(theirs) and not like
    if elsewhere:
        first = next(iter(theirs.values())).protocol
        like = {name: one for name, one in theirs.items() if trains_on(one.protocol, first.dataset, first.n_train)}
    found: dict[str, Sweep] = {}
    for name, sweep in like.items():
        if sweep.setting.startswith(varied_in(SCORED, "")) and sweep.protocol.scoring.ood_set in (dataset, ood_set):
            continue  # what is trained on now is not out of distribution, and what all are scored on is no variation
        allowed = has_boxes(sweep.protocol, dataset) and pretrained_apart(sweep.protocol, dataset, ood_set)
        if found and not (allowed and suits(sweep.protocol, profile, model, variant)):
            continue
        protocol = on_images(sweep.protocol, dataset, n_train) if elsewhere else sweep.protocol
        protocol = replace(scored_on(protocol, ood_set, n_ood), model=networked(protocol, profile, model, variant))
        varied = fitted(sweep.setting, changed(protocol, **changes))
        # The first setting is what is asked for, so that what is wrong with it is said.
        if varied is not None and (not found or is_possible(varied)):
            found[name] = on_seeds(replace(sweep, protocol=placed(varied, row, column)), sweep, seed, n_seeds)
    return nearer(found) if elsewhere and seed is None else found


def on_images(protocol: Protocol, dataset: str | None, n_train: int | None) -> Protocol:
    """A protocol that is trained on other images, on all of them where there are no more than it was planned for.

    Where they are what it is scored on, it is scored on what it was trained on; where they have no validation split,
    early stopping does without.
    """
    dataset, size = dataset or protocol.dataset, protocol.n_train if n_train is None else n_train
    if n_train is None and size is not None and size >= sources.source(dataset).n_train:
        size = None
    scoring = protocol.scoring
    if overlap(dataset, scoring.ood_set):
        n_ood = min(scoring.n_ood, sources.n_scored_on(protocol.dataset))
        scoring = replace(scoring, ood_set=protocol.dataset, n_ood=n_ood)
    training = protocol.training
    if training.early_stopping == "validation" and not sources.source(dataset).validation:
        training = replace(training, early_stopping=Training.early_stopping)
    return replace(protocol, dataset=dataset, n_train=size, scoring=scoring, training=training)


def has_boxes(protocol: Protocol, dataset: str | None) -> bool:
    """Whether boxes in which a protocol shuffles pixels and patches that its network reads are whole ones of images."""
    mixer, network = protocol.training.visual_mixer, protocol.model
    sizes = [mixer.box] if mixer else []
    if isinstance(network, NeuraCrypt):
        sizes.append(network.patch)
    _, height, width = sources.source(dataset or protocol.dataset).shape
    return not any(length * protocol.enlarged % size for size in sizes for length in (height, width))


def pretrained_apart(protocol: Protocol, dataset: str | None, ood_set: str | None) -> bool:
    """Whether images that networks were trained on before, if they were, are as large as these and others than these.

    Nor may they be the OOD images.
    """
    if (before := protocol.training.pretrained) is None:
        return True
    dataset, ood_set = dataset or protocol.dataset, ood_set or protocol.scoring.ood_set
    same = sources.source(before.dataset).shape == sources.source(dataset).shape
    return same and not (overlap(before.dataset, dataset) or overlap(before.dataset, ood_set))


def suits(protocol: Protocol, profile: str, model: str | Model | None, variant: str | None) -> bool:
    """Whether another network, see `networked`, is one that a protocol's way of training is for.

    A protocol that is about its own network, which reads patches, is left with it; in tasks no network of another name
    or variant learns; privately those do in which no image changes what is made of another; and nothing is frozen where
    batch norm has statistics of its own.
    """
    own, training = protocol.model, protocol.training
    if isinstance(own, NeuraCrypt):
        return model is None and variant in (None, own.variant)
    network = networked(protocol, profile, model, variant)
    if training.tasks and (network.name, network.variant) != (own.name, "plain"):
        return False
    if training.pretrained and training.pretrained.frozen and (isinstance(network, Published) or network.batch_norm):
        return False
    return training.private is None or network.images_apart


def is_possible(protocol: Protocol) -> bool:
    """Whether its feature fits its images, they and their parts are enough, and its host can be moved if it shall be.

    Of a mark or feature on several images of one label it is guessed how many there are, from a tenth of all.
    """
    (_, height, width), (rows, columns) = protocol.image_shape, protocol.unique.shape
    top, left = protocol.position
    fits = 0 <= top <= height - rows and 0 <= left <= width - columns
    parts = protocol.training.falco is None or protocol.n_parts > 1  # of which another one is needed
    lot, n_images = protocol.lot, part_size(protocol)
    several = protocol.hosts and (lot is not None or protocol.n_carriers > 1)
    marked = max(lot.n if lot else 1, CLASSES * protocol.n_carriers) if several else 0
    return fits and parts and marked <= n_images and not (protocol.twice and n_images <= protocol.training.batch_size)


def scored_on(protocol: Protocol, ood_set: str | None, n_ood: int | None) -> Protocol:
    """A protocol that is scored on other images, on all of them where there are fewer than it was planned for."""
    if ood_set not in (None, protocol.scoring.ood_set) and n_ood is None:
        n_ood = min(protocol.scoring.n_ood, sources.n_scored_on(ood_set))
    return changed(protocol, ood_set=ood_set, n_ood=n_ood)


def on_seeds(sweep: Sweep, planned: Sweep, seed: int | None, n_seeds: int | None) -> Sweep:
    """A sweep with so many seeds, from one on; those that were planned for one part are of one part.

    Hosts that are images of another data set or part than these become the first ones of their kind.
    """
    protocol, before = sweep.protocol, planned.protocol
    start = planned.seeds.start if seed is None else seed
    step = protocol.n_parts if planned.seeds.step > 1 else 1
    n = len(planned.seeds) if n_seeds is None else n_seeds
    seeds = range(start, start + step * n, step)
    if planned.chosen and part(protocol, start) != part(before, planned.seeds.start):
        numbers = chosen(planned.chosen, len(before.hosts), protocol)
        protocol = replace(protocol, hosts=tuple(f"{planned.chosen} {number}" for number in numbers))
    return replace(sweep, protocol=protocol, seeds=seeds, needed=min(planned.needed, n))


def chosen(kind: str, n: int, protocol: Protocol) -> list[int]:
    """The numbers of n hosts: the first of a kind, or places spaced evenly, none in the first batch if it can be."""
    n_images = part_size(protocol)
    if kind != "place":
        return list(range(min(n, n_images)))
    first = protocol.training.batch_size if protocol.training.batch_size < n_images else 0
    return sorted({first + (2 * one + 1) * (n_images - first) // (2 * n) for one in range(n)})


def part_size(protocol: Protocol) -> int:
    """Training images of a part."""
    return hosts.n_hosts(protocol) // protocol.n_parts


def part(protocol: Protocol, seed: int) -> tuple[str, int, int]:
    """On what a seed is trained: data set, number of images of each part, and which part."""
    return protocol.dataset, part_size(protocol), seed % protocol.n_parts


def nearer(sweeps: dict[str, Sweep]) -> dict[str, Sweep]:
    """The sweeps on the first seeds, where there are fewer random hosts than seeds up to theirs.

    Those that begin with the same seed still do, and the others are apart.
    """
    drawn = [sweep for sweep in sweeps.values() if "random" in sweep.protocol.hosts]
    if all(sweep.seeds[-1] < hosts.n_hosts(sweep.protocol) for sweep in drawn):
        return sweeps
    spans: dict[int, int] = {}
    for sweep in sweeps.values():
        start, stop = sweep.seeds.start, sweep.seeds.stop
        spans[start] = max(spans.get(start, 0), stop - start)
    firsts = dict(zip(sorted(spans), accumulate((spans[start] for start in sorted(spans)), initial=0), strict=False))
    return {name: moved(sweep, sweep.seeds.start - firsts[sweep.seeds.start]) for name, sweep in sweeps.items()}


def moved(sweep: Sweep, by: int) -> Sweep:
    """A sweep with seeds lower by a number, and the hosts of which every card knows with them."""
    seeds, n_hosts = sweep.seeds, hosts.n_hosts(sweep.protocol)
    first, stop = (min(max(one - by, 0), n_hosts) for one in sweep.protocol.planned)
    protocol = replace(sweep.protocol, planned=(first, stop))
    return replace(sweep, protocol=protocol, seeds=range(seeds.start - by, seeds.stop - by, seeds.step))


def networked(protocol: Protocol, profile: str, model: str | Model | None, variant: str | None) -> Model:
    """A protocol's network, or another one of a name as wide as the profile has it, or another variant."""
    network = protocol.model
    if isinstance(model, Model):
        network = model
    elif model not in (None, network.name):
        if model not in MODELS:
            raise ValueError(f"model: {model!r} is not one of {', '.join(sorted(MODELS))}")
        other = NARROW.get(model, MODELS[model]()) if profile == "embedded" else MODELS[model]()
        network = of_variant(other, network.variant)
    return network if variant is None else of_variant(network, variant)


def placed(protocol: Protocol, row: int | None, column: int | None) -> Protocol:
    """A protocol with the feature at another row or column; None changes nothing."""
    top, left = protocol.position
    return replace(protocol, position=(top if row is None else row, left if column is None else column))


def require(parameter: str, value: str, known: Collection[str]) -> None:
    """Raise a ValueError that names the parameter and lists the known values where the value is none of them."""
    if value not in known:
        raise ValueError(f"{parameter}: {value!r} is not one of {', '.join(known)}")
