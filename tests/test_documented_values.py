"""Every value that a chapter's parameters are documented with: it can be trained, or one line says why not."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ufm.book import notebooks
from ufm.data import datasets, sources
from ufm.data.arrays import Arrays
from ufm.networks import MODELS, VARIANTS
from ufm.plan import registry
from ufm.protocol import hosts
from ufm.study import forecast
from ufm.study.runs import Run

CACHED = (sources.folder_source, sources.checksum, sources.read, datasets._load, datasets._ood_images)
A_FEW = {  # of parameters whose values are no list of words
    "n_train": (300,),
    "n_seeds": (8, 9),
    "seed": (0, 7, 123),
    "feature": ("B", "J. DOE", "mark.png"),
    "row": (0, 9),
    "column": (0, 1),
    "n_ood": (60,),
    "n_random": (1, 3),
    "device": ("cpu", "auto"),
    "data_root": ("elsewhere",),
    "fresh": (True, False),
    "train": (True, False),
}
# What is documented for all chapters and cannot be with the data or the network of some, by parameter and value.
REFUSED = {
    ("model", "densenet121"): "model: densenet121 needs images of 32 × 32 pixels or more, not 28 × 28",
    **{
        ("ood_set", name): f"ood_set: {name} is what the models are trained on; choose other images"
        for name in ("photo_patches", "mnist", "fashion_mnist", "cifar10", "digits")
    },
}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """In place of files that are downloaded as many images that are all black; a folder of 120 images, and a picture.

    None is read twice, and no clean model is trained: no pool is there. Gives the protocols and seeds that were tried.
    """
    folder, patch = tmp_path_factory.mktemp("documented"), pytest.MonkeyPatch()
    for cached in CACHED:
        cached.cache_clear()
    read, rng = sources.read, np.random.default_rng(0)

    def black(name, root):
        found = sources.source(name)
        if not found.files:
            return read(name, root)
        splits = [
            (np.zeros((n, *found.shape), np.uint8), np.arange(n) % (2 if found.validation else 10))
            for n in (found.n_train, 1_000, 100)
        ]
        return Arrays(*(array for split in splits[: 2 + found.validation] for array in split))

    for split, n in (("train", 60), ("test", 20)):
        for name in ("healthy", "ill"):
            (folder / "scans" / split / name).mkdir(parents=True)
            for number in range(n):
                pixels = rng.integers(0, 256, (20, 26), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "scans" / split / name / f"{number}.png")
    Image.fromarray(rng.integers(0, 256, (4, 6), dtype=np.uint8)).save(folder / "mark.png")
    kept = {}
    patch.setattr(sources, "read", lambda name, root: kept.setdefault(name, black(name, root)))
    patch.setattr(datasets, "array_checksum", lambda *arrays: "")
    patch.setattr(datasets, "_convert", lambda pixels, shape: 0)
    patch.setattr(datasets, "_normalisation", lambda images: ((0.5,) * images.shape[1], (0.5,) * images.shape[1]))
    patch.setattr(hosts, "lacking", lambda protocol, parts, kind, records: list(parts))
    patch.chdir(folder)
    patch.setenv("UFM_RUNS", str(folder / "runs"))
    yield set()
    patch.undo()
    for cached in CACHED:
        cached.cache_clear()


def elsewhere(sweep, planned, seed):
    """The protocol of a sweep, with another host for those that are planned images: stand-ins have others.

    They must be those of a planned sweep, on the images and in the part for which it was planned.
    """
    if not any(host.isdecimal() for host in sweep.protocol.hosts):
        return sweep.protocol
    asked = (sweep.protocol.dataset, sweep.protocol.n_train, sweep.protocol.hosts, seed % sweep.protocol.n_parts)
    assert asked in {
        (one.protocol.dataset, one.protocol.n_train, one.protocol.hosts, one.seeds[0] % one.protocol.n_parts)
        for of_profile in planned.values()
        for one in of_profile.values()
    }
    return replace(sweep.protocol, hosts=("place 200",))


def documented(parameter):
    """The values that a parameter's help names."""
    if parameter.name in A_FEW:
        return A_FEW[parameter.name]
    words = parameter.help.partition("; None:")[0]
    if parameter.name == "profile":
        return tuple(re.findall(r"(\w+):", words))
    return tuple(
        {"or the path of a folder": "./scans", "or several as dropout + augmentation": "dropout + augmentation"}.get(
            one, one
        )
        for one in words.split(", ")
    )


@pytest.mark.parametrize("profile", ["embedded", "paper"])
@pytest.mark.parametrize("name", sorted(registry.chapters()))
def test_every_documented_value_can_be_trained_or_is_refused_in_one_line(stand_ins, name, profile, monkeypatch):
    """On a machine of 32 GB that does nothing else, whatever this one is."""
    monkeypatch.setattr(forecast, "free_memory", lambda device: 32 * 10**9)
    refused, planned = {}, {one: registry.sweeps(one) for one in ("embedded", "paper")}
    for parameter in notebooks.parameters(name).values():
        for value in documented(parameter):
            given = {"profile": profile, "n_seeds": 8} | {parameter.name: value}
            try:
                run = Run(name, given)
                for sweep in run.sweeps.values():
                    for seed in (sweep.seeds[0], sweep.seeds[-1]):
                        tried = elsewhere(sweep, planned, seed), seed
                        if tried not in stand_ins:
                            forecast.require(tried[0], [seed])
                            stand_ins.add(tried)
            except ValueError as error:
                refused[parameter.name, value] = str(error)
    unknown = {one: why for one, why in refused.items() if not why.startswith(REFUSED.get(one, "?"))}
    assert not unknown


def test_words_are_those_of_the_help():
    declared = notebooks.parameters("controls")
    assert documented(declared["dataset"]) == ("digits", "mnist", "fashion_mnist", "./scans")
    assert {*documented(declared["model"]), "neuracrypt"} == set(MODELS)  # which is a system of the fourth plan
    assert documented(declared["variant"]) == ("plain", *VARIANTS, "dropout + augmentation")
    assert documented(declared["profile"]) == ("embedded", "paper")
