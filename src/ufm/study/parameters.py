"""Parameters of a notebook: what a chapter shows when a reader changes data, network, feature or seeds."""

from dataclasses import replace

from ufm.networks import MODELS, Model, of_variant
from ufm.plan import registry
from ufm.plan.cnns import QUARTER
from ufm.plan.profiles import PROFILES, changed, trains_on
from ufm.plan.sensitivity import SCORED, varied_in
from ufm.plan.sweep import Sweep
from ufm.protocol import Protocol

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
    **changes: object,
) -> dict[str, Sweep]:
    """What a notebook shows with these parameters, by name; one that is None changes nothing.

    Data set and number of training images choose among the chapter's sweeps; where none is like that, its first sweep
    and those of the same images are changed to be. The other changes go for each: the network (or its name) and its
    variant, row and column of the feature's top-left pixel, and fields of `Protocol`, `Training` or `Scoring`. Seeds
    start at `seed` and are `n_seeds`. Raises ValueError, naming the parameter.
    """
    if n_seeds is not None and n_seeds < 1:
        raise ValueError(f"n_seeds: at least one is needed, got {n_seeds}")
    if seed is not None and seed < 0:
        raise ValueError(f"seed: cannot be negative, got {seed}")
    planned = registry.sweeps(profile)
    theirs = {name: planned[name] for name in registry.chapter(notebook, profile)}
    like = {name: sweep for name, sweep in theirs.items() if trains_on(sweep.protocol, dataset, n_train)}
    if not like:
        first = next(iter(theirs.values())).protocol
        like = {name: one for name, one in theirs.items() if trains_on(one.protocol, first.dataset, first.n_train)}
        changes |= {"dataset": dataset, "n_train": n_train}
    found = {}
    for name, sweep in like.items():
        if sweep.setting.startswith(varied_in(SCORED, "")) and sweep.protocol.scoring.ood_set == dataset:
            continue  # what is trained on now is not out of distribution
        start, step = sweep.seeds.start if seed is None else seed, sweep.seeds.step
        seeds = range(start, start + step * (len(sweep.seeds) if n_seeds is None else n_seeds), step)
        protocol = placed(networked(sweep.protocol, profile, model, variant), row, column)
        needed = min(sweep.needed, len(seeds))
        found[name] = replace(sweep, protocol=changed(protocol, **changes), seeds=seeds, needed=needed)
    return found


def networked(protocol: Protocol, profile: str, model: str | Model | None, variant: str | None) -> Protocol:
    """A protocol with another network, of a name as wide as the profile has it, or another variant."""
    network = protocol.model
    if isinstance(model, Model):
        network = model
    elif model not in (None, network.name):
        if model not in MODELS:
            raise ValueError(f"model: {model!r} is not one of {', '.join(sorted(MODELS))}")
        other = NARROW.get(model, MODELS[model]()) if profile == "embedded" else MODELS[model]()
        network = of_variant(other, network.variant)
    return replace(protocol, model=network if variant is None else of_variant(network, variant))


def placed(protocol: Protocol, row: int | None, column: int | None) -> Protocol:
    """A protocol with the feature at another row or column; None changes nothing."""
    top, left = protocol.position
    return replace(protocol, position=(top if row is None else row, left if column is None else column))
