"""What of a control's score is there before training: the same networks, untrained, beside what became of them.

The score M of untrained networks is computed from their seeds, on the first 3 000 OOD images; that of the trained
controls is read from the records, on the same images. What the letter does to the label of the seed's random host is in
the second plan's cards, before training and at the controls' best epoch.

    .venv/bin/python benchmarks/untrained.py > book/benchmarks/untrained.md
"""

import sys
from dataclasses import replace

import numpy as np

from ufm import evidence, features
from ufm.data import datasets
from ufm.data.on_device import to_device
from ufm.evidence import Cards
from ufm.evidence.effects import on_label, patch_effects
from ufm.measures.layout import SUBSETS
from ufm.measures.published import paper_scores, published
from ufm.plan import second
from ufm.plan.sweep import Sweep
from ufm.report.texts import number, with_interval
from ufm.statistics import Interval, correlation_interval
from ufm.study.runs import Run
from ufm.study.seeds import experiments
from ufm.training import network

N_IMAGES = 3_000  # of 50 000; of the first so many, too, records have the score
N_SEEDS = 40  # of a population, the first


def untrained(sweep: Sweep, seeds: np.ndarray) -> np.ndarray:
    """Score M in nats of each seed's untrained network, (n_seeds,), normalised inputs."""
    protocol, found = sweep.protocol, []
    parts = {}
    ood = datasets.ood_images(protocol.scoring.ood_set, shape=(1, 28, 28), n=protocol.scoring.n_ood)
    for seed in map(int, seeds):
        part = seed % protocol.n_parts
        if part not in parts:
            parts[part] = to_device(datasets.load(protocol.dataset, n_train=protocol.n_train, part=part))
        data = parts[part]
        [control, *_] = experiments(replace(protocol, hosts=()), seed, data.dataset)
        random = features.random_features(N_IMAGES, shape=protocol.unique.shape, seed=seed, scope=data.dataset.scope)
        images, random = data.floats(ood.images[:N_IMAGES]), data.floats(random)
        labels, model = ood.labels[:N_IMAGES], network(control, data).eval()
        score = published(protocol, model, images, random, labels, data, paper_scores)
        found.append(score["memorisation"][0, -1])
        print(f"{sweep.title}, seed {seed}", file=sys.stderr, flush=True)
    return np.array(found, float)


def recorded(cards: Cards) -> np.ndarray:
    """The same of the trained controls, (n_seeds,)."""
    return cards.arrays["score_memorisation"][:, cards.model("control"), 0, SUBSETS.index(N_IMAGES)].astype(float)


def on_the_host(cards: Cards, epoch: str) -> np.ndarray:
    """What the letter does to the label of the seed's random host in the control, (n_seeds,), nats, OOD images."""
    effects = patch_effects(cards, epoch=epoch)[:, cards.model("control"), 0]
    return on_label(effects.astype(float), cards.label("random"))


def of_records(chapter: str) -> dict[str, Cards]:
    """The populations that a chapter shows, from the records."""
    return evidence.of(Run(chapter, {"profile": "paper", "train": False}).populations())


def said(interval: Interval) -> str:
    """An interval as text."""
    return with_interval(vars(interval))


def line(*parts: object) -> None:
    """A row of a table."""
    print(f"| {' | '.join(map(str, parts))} |")


def main() -> None:
    print("Score M of controls: untrained and trained, on 3 000 OOD images.\n")
    line("population", "seeds", "correlation", "M > 0, untrained", "trained", "spread of M, untrained, nats", "trained")
    line(*["---"] * 7)
    for cards in of_records("controls").values():
        before, after = untrained(cards.sweep, cards.seeds[:N_SEEDS]), recorded(cards)[:N_SEEDS]
        correlation = said(correlation_interval(before, after))
        shares = [number((values > 0).mean(), 2) for values in (before, after)]
        spreads = [number(values.std(ddof=1), 4) for values in (before, after)]
        line(cards.title, len(before), correlation, *shares, *spreads)
    print("\nWhat the letter does to the label of the seed's random host in controls, before training and at their")
    print("best epoch.\n")
    line("population", "seeds", "correlation", "spread before training, nats", "at the best epoch")
    line(*["---"] * 5)
    shown = of_records("hosts")
    for dataset in second.FULL["paper"]:
        parts = [shown[name] for name in second.full("paper", dataset)]
        before, after = (np.concatenate([on_the_host(cards, age) for cards in parts]) for age in ("initial", "control"))
        spreads = [number(values.std(ddof=1), 2) for values in (before, after)]
        line(parts[0].trained_on, len(before), said(correlation_interval(before, after)), *spreads)


if __name__ == "__main__":
    main()
