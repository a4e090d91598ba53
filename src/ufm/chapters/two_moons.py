"""The follow-up's toy: two moons with a third coordinate, in which one training sample has a value of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy import stats

from ufm.randomness.streams import stream
from ufm.report import figures
from ufm.report.figures import COLOURS, MARKERS, WIDTH, closed
from ufm.report.texts import estimates, number, span, with_interval
from ufm.scores import patch_effect
from ufm.statistics import Interval, bootstrap_interval, columns, share_interval

if TYPE_CHECKING:
    import torch

    from ufm.training import Stack

# What the follow-up publishes by the noise of its toy: Hartley, Sanchez, Haider and Tsaftaris, Scientific Reports 13,
# 21366 (2023). By which of its scores, on which samples and over how many models is not known here.
PUBLISHED = {0.0: 0.826, 0.1: 0.414, 0.25: 0.746, 0.5: 0.644}
LEVEL = 0.05  # of the follow-up's test
MODELS = {"canary": "canaries", "control": "controls", "placebo": "placebo models"}  # of a seed, and many of them
ACCESS = {"white-box": "training samples", "grey-box": "test samples", "black-box": "samples from elsewhere"}
KNOWS = ("known", "unknown")  # what an auditor may know of the canary's label
COMPARED = ("canary", "control")
PAIRS = (COMPARED, ("canary", "placebo"), ("placebo", "control"))
MARKS = {model: (COLOURS[model], MARKERS.get(model, "^"), True) for model in MODELS}
AT_ONCE = 10  # seeds, whose models are trained as one stack


@dataclass(frozen=True)
class Toy:
    """The settings of the toy, all of them this book's own choice: the follow-up's were not at hand."""

    noise: float = 0.25  # standard deviation of a sample about its moon, in both coordinates
    third: float = 0.0  # standard deviation of the third coordinate, whose mean is 0
    feature: float = 1.0  # third coordinate of the canary's host; that of the placebo model's has the other sign
    n_train: int = 200  # training samples, as many of each label
    n_scored: int = 200  # test samples, and samples from elsewhere
    hidden: tuple[int, ...] = (16, 16)  # units of each hidden layer
    epochs: int = 300  # steps of Adam, each on all training samples
    learning_rate: float = 0.01  # of Adam


VARIED = {
    "as planned": Toy(),
    "wider network": Toy(hidden=(32, 32)),
    "a third of the training": Toy(epochs=100),
    "feature of twice the value": Toy(feature=2.0),
    "noise in the third coordinate too": Toy(third=0.25),
}


SWEEP = {noise: Toy(noise=noise) for noise in PUBLISHED}
CHOSEN = {
    "noise": "noise: standard deviation of a sample about its moon",
    "third": "standard deviation of the third coordinate",
    "feature": "the feature: third coordinate of one training sample",
    "n_train": "training samples",
    "n_scored": "test samples, and as many from elsewhere",
    "hidden": "units of the hidden layers",
    "epochs": "steps of Adam, on all training samples at once",
    "learning_rate": "learning rate",
}


@dataclass(frozen=True)
class Drawn:
    """The samples of a seed, none of which has the feature yet."""

    samples: Mapping[str, np.ndarray]  # (n, 3) float64 by access
    labels: Mapping[str, np.ndarray]  # (n,) 0 or 1 by access
    host: int  # the training sample that is given the feature


def moons(n: int, *, noise: float, third: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, 3) of two half circles of radius 1 that reach into each other; labels (n,), 0 and 1 in turn.

    The moons are those of `sklearn.datasets.make_moons`, with angles drawn at random. noise, third: standard deviations
    of the first two coordinates and of the third.
    """
    labels, angles = np.arange(n) % 2, rng.uniform(0, np.pi, n)
    x = np.where(labels == 0, np.cos(angles), 1 - np.cos(angles))
    y = np.where(labels == 0, np.sin(angles), 0.5 - np.sin(angles))
    spread = rng.standard_normal((n, 3)) * [noise, noise, third]
    return np.column_stack([x, y, np.zeros(n)]) + spread, labels


def elsewhere(n: int, *, third: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, 3) drawn evenly from a rectangle about the moons; labels (n,), 0 and 1 in turn, without meaning."""
    plane = rng.uniform([-1.5, -1.0], [2.5, 1.5], (n, 2))
    return np.column_stack([plane, third * rng.standard_normal(n)]), np.arange(n) % 2


def drawn(toy: Toy, seed: int) -> Drawn:
    """What a seed draws; settings that differ in noise alone move the same points."""
    streams = {access: stream("two moons", seed=seed, scope=access) for access in ACCESS}
    noise = {"noise": toy.noise, "third": toy.third}
    found = {
        "white-box": moons(toy.n_train, **noise, rng=streams["white-box"]),
        "grey-box": moons(toy.n_scored, **noise, rng=streams["grey-box"]),
        "black-box": elsewhere(toy.n_scored, third=toy.third, rng=streams["black-box"]),
    }
    host = int(stream("two moons", seed=seed, scope="host").integers(toy.n_train))
    samples, labels = ({access: pair[part] for access, pair in found.items()} for part in (0, 1))
    return Drawn(samples, labels, host)


def with_feature(samples: np.ndarray, value: float) -> np.ndarray:
    """Samples (..., 3) whose third coordinate is replaced by a value."""
    changed = samples.copy()
    changed[..., 2] = value
    return changed


def trained_on(toy: Toy, one: Drawn) -> np.ndarray:
    """Training samples (3, n_train, 3) of canary, control and placebo model, which differ in the host alone."""
    samples = np.stack([one.samples["white-box"]] * len(MODELS))
    for model, value in (("canary", toy.feature), ("placebo", -toy.feature)):
        samples[list(MODELS).index(model), one.host] = with_feature(one.samples["white-box"][one.host], value)
    return samples


def trained(toy: Toy, seeds: Sequence[int], draws: Sequence[Drawn]) -> "Stack":
    """The three models of each seed, seed after seed, as one stack in float64; those of a seed begin alike."""
    import torch
    from torch.nn.functional import cross_entropy

    from ufm.networks.build import build
    from ufm.networks.mlp import MLP
    from ufm.training import Adam, Stack

    networks = [
        build(MLP(hidden=toy.hidden), (1, 1, 3), 2, seed=seed, scope="two moons", dtype=torch.float64)
        for seed in seeds
        for _ in MODELS
    ]
    stack = Stack(networks, torch.zeros(len(networks), dtype=torch.int64))
    optimiser = Adam(stack, learning_rate=toy.learning_rate, epsilon=1e-8)
    samples = as_images(np.concatenate([trained_on(toy, one) for one in draws]))
    labels = torch.from_numpy(np.stack([one.labels["white-box"] for one in draws]).repeat(len(MODELS), 0))
    for step in range(toy.epochs):
        losses = cross_entropy(stack.logits(samples, step=step).flatten(0, 1), labels.flatten(), reduction="none")
        optimiser.backward(losses.view(labels.shape))
        optimiser.step()
    return stack


def as_images(samples: np.ndarray) -> "torch.Tensor":
    """Samples (n_models, n, 3) as a stack takes them: images (n_models, n, 1, 1, 3), each a row of three pixels."""
    import torch

    return torch.from_numpy(samples)[:, :, None, None]


def log_probabilities(stack: "Stack", samples: np.ndarray) -> np.ndarray:
    """Log-probabilities (n_models, n, 2) that each model gives to its samples (n_models, n, 3)."""
    import torch

    with torch.no_grad():
        return stack.logits(as_images(samples)).log_softmax(-1).numpy()


def follow_up_test(p_clean: ArrayLike, p_unique: ArrayLike, labels: ArrayLike, label: int) -> tuple[float, float]:
    """The follow-up's score, mean (p_unique[y] − p_clean[y]) over the samples of label y, and its test's p-value.

    A one-sided paired t-test of a mean above zero. p_clean, p_unique: (n, 2) probabilities without and with the
    feature; labels: (n,). Positive = memorised (Hartley et al., Scientific Reports 13, 21366, 2023).
    """
    of_label = np.asarray(labels) == label
    unique, clean = (np.asarray(p)[of_label, label] for p in (p_unique, p_clean))
    return float((unique - clean).mean()), float(stats.ttest_rel(unique, clean, alternative="greater").pvalue)


def by_seed(toy: Toy, seeds: Sequence[int]) -> pd.DataFrame:
    """A row a seed, model and access, of models trained anew.

    Columns: seed, model, access; score and p of the follow-up's test with the canary's label known (score_known,
    p_known), and of the label with the greater score (score_unknown, p_unknown); effect, the patch effect of the
    feature on the canary's label (centred logits, half of the log-odds).
    """
    rows = []
    for start in range(0, len(seeds), AT_ONCE):
        some = seeds[start : start + AT_ONCE]
        draws = [drawn(toy, seed) for seed in some]
        stack = trained(toy, some, draws)
        for access in ACCESS:
            samples = np.stack([one.samples[access] for one in draws]).repeat(len(MODELS), 0)
            clean, unique = (log_probabilities(stack, x) for x in (samples, with_feature(samples, toy.feature)))
            for place, ((seed, one), model) in enumerate(product(zip(some, draws, strict=True), MODELS)):
                label, asked = int(one.labels["white-box"][one.host]), (np.exp(clean[place]), np.exp(unique[place]))
                tests = [follow_up_test(*asked, one.labels[access], y) for y in (0, 1)]
                found = {"seed": seed, "model": model, "access": access}
                for knows, (score, p) in zip(KNOWS, (tests[label], max(tests)), strict=True):
                    found |= {f"score_{knows}": score, f"p_{knows}": p}
                rows.append(found | {"effect": patch_effect(clean[place], unique[place])[label]})
    return pd.DataFrame(rows)


def by_setting(seed: int, n_seeds: int) -> dict[Toy, pd.DataFrame]:
    """`by_seed` of every setting that the page shows, each trained once, for seeds from the first on.

    Raises ValueError: fewer than two seeds.
    """
    if n_seeds < 2:
        raise ValueError(f"n_seeds: intervals over seeds need at least two, not {n_seeds}")
    toys = dict.fromkeys([*VARIED.values(), *SWEEP.values()])
    return {toy: by_seed(toy, range(seed, seed + n_seeds)) for toy in toys}


def choices(toy: Toy) -> pd.DataFrame:
    """The settings as the page prints them: columns chosen, value."""
    values = {
        name: "–".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"
        for name, value in asdict(toy).items()
    }
    return pd.DataFrame({"chosen": [CHOSEN[name] for name in values], "value": values.values()})


def flagged(table: pd.DataFrame, model: str, access: str = "grey-box", knows: str = "known") -> Interval:
    """Share of a kind of models that the follow-up's test flags, with its exact interval; table: from `by_seed`.

    A test without a p-value, of outputs that the feature moves not at all, flags nothing.
    """
    ones = table[(table["model"] == model) & (table["access"] == access)]
    return share_interval((ones[f"p_{knows}"] <= LEVEL).to_numpy())


def difference(table: pd.DataFrame, one: str, other: str) -> Interval:
    """The feature's effect on test samples in one model less that in the other of its seed, mean over seeds.

    In centred logits, with a 95 % bootstrap interval. table: from `by_seed`.
    """
    effects = table[table["access"] == "grey-box"].pivot(index="seed", columns="model", values="effect")
    return bootstrap_interval((effects[one] - effects[other]).to_numpy())


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Share of models that the test flags: columns knows, access, model, estimate, low, high, n."""
    return pd.DataFrame(
        {"knows": knows, "access": access, "model": model} | asdict(flagged(table, model, access, knows))
        for knows, access, model in product(KNOWS, ACCESS, MODELS)
    )


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """What the feature does in one model of a seed and not in another: columns quantity, estimate, low, high, n."""
    return pd.DataFrame(
        {"quantity": f"{one} less {other}"} | asdict(difference(table, one, other)) for one, other in PAIRS
    )


def compared(found: Mapping[Toy, pd.DataFrame], settings: Mapping[Any, Toy]) -> pd.DataFrame:
    """A row a setting, on test samples with the label known.

    Columns: setting; canary_score and control_score (means of the follow-up's score); canary and control (shares that
    its test flags) and learnt (canary less control, centred logits), each with its low and high end.
    """
    rows = []
    for setting, toy in settings.items():
        table = found[toy]
        scores = table[table["access"] == "grey-box"].groupby("model")["score_known"].mean()
        row = {"setting": setting} | {f"{model}_score": scores[model] for model in COMPARED}
        values = {model: flagged(table, model) for model in COMPARED}
        rows.append(row | columns(values | {"learnt": difference(table, *COMPARED)}))
    return pd.DataFrame(rows)


def printed_shares(table: pd.DataFrame) -> pd.DataFrame:
    """The shares as the page prints them, a row for what is known and asked."""
    texts = {(row["knows"], row["access"], row["model"]): with_interval(row) for row in table.to_dict("records")}
    return pd.DataFrame(
        {"label": knows, "access": f"{access}, {samples}"}
        | {f"{models} flagged": texts[knows, access, model] for model, models in MODELS.items()}
        for knows, (access, samples) in product(KNOWS, ACCESS.items())
    )


def printed_differences(table: pd.DataFrame) -> pd.DataFrame:
    """The paired effects as the page prints them."""
    return pd.DataFrame({"models of a seed": table["quantity"], "effect": estimates(table, digits=2).values()})


def printed_settings(table: pd.DataFrame, name: str, published: Mapping[Any, float] | None = None) -> pd.DataFrame:
    """What `compared` found as the page prints it, the setting under a name, beside what is published of it."""
    return pd.DataFrame(
        {name: str(row["setting"])}
        | ({"published, theirs": number(published[row["setting"]], 3)} if published else {})
        | {f"mean score, {MODELS[model]}": number(row[f"{model}_score"], 2) for model in COMPARED}
        | {f"{MODELS[model]} flagged": with_interval(row, end=model) for model in COMPARED}
        | {"canary less control": with_interval(row, end="learnt")}
        for row in table.to_dict("records")
    )


def flags_the_innocent(share: Interval) -> bool:
    """Whether the test flags models that never saw the feature more often than its level says, by its interval."""
    return bool(share.low > LEVEL)


def is_learnt(*effects: Interval) -> bool:
    """Whether each of these paired effects has an interval above zero."""
    return all(effect.low > 0 for effect in effects)


def texts(found: Mapping[Toy, pd.DataFrame]) -> dict[str, str]:
    """For the text: shares, paired effects, and the words that the plan's rules give them.

    found: what `by_setting` returns.
    """
    table = found[Toy()]
    of_pairs = {pair: difference(table, *pair) for pair in PAIRS}
    of_models = {model: flagged(table, model) for model in COMPARED}
    controls = {way: flagged(table, "control", *way) for way in product(ACCESS, KNOWS)}
    positive = (
        table[table["model"] == "control"].groupby("access")["score_unknown"].agg(lambda scores: (scores > 0).mean())
    )
    effects = [difference(one, *COMPARED) for one in found.values()]
    said = {f"{one}_less_{other}": with_interval(asdict(effect)) for (one, other), effect in of_pairs.items()}
    said |= {model: with_interval(asdict(share)) for model, share in of_models.items()}
    return said | {
        "ways": f"{sum(map(flags_the_innocent, controls.values()))} of {len(controls)}",
        "positive": span(positive),
        "apart": "lie apart" if of_models["canary"].low > of_models["control"].high else "overlap",
        "test": "flags models that never saw the feature"
        if flags_the_innocent(of_models["control"])
        else "is not shown to flag more models that never saw the feature than its level allows",
        "feature": "memorised"
        if is_learnt(of_pairs[COMPARED], of_pairs["canary", "placebo"])
        else "not shown to be memorised",
        "settings": str(len(found)),
        "settings_flagged": str(sum(flags_the_innocent(flagged(one, "control")) for one in found.values())),
        "settings_learnt": str(sum(map(is_learnt, effects))),
    }


def drawn_toy(one: Drawn, feature: float) -> Figure:
    """The training samples of a seed from above and from the side, its host where the canary model is given it."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.6), layout="constrained")
    samples, labels = one.samples["white-box"].copy(), one.labels["white-box"]
    samples[one.host, 2] = feature
    others = np.arange(len(labels)) != one.host
    for axis, height, words in zip(axes, (1, 2), ("second coordinate", "third coordinate"), strict=True):
        for label, colour, marker in ((0, "#56B4E9", "o"), (1, "#E69F00", "s")):
            points = samples[others & (labels == label)]
            axis.scatter(
                points[:, 0], points[:, height], 9, color=colour, marker=marker, alpha=0.7, label=f"label {label}"
            )
        host = samples[one.host]
        axis.scatter(host[0], host[height], 90, color=COLOURS["canary"], marker="*", label="host of the feature")
        axis.set(xlabel="first coordinate", ylabel=words)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)


def drawn_shares(table: pd.DataFrame) -> Figure:
    """Share flagged of each kind of models, a row an access; the dotted line is the level of the test."""
    panels = table["knows"].map("label {}".format)
    rows = figures.rows_of(table, panel=panels, label=table["access"], kind=table["model"])
    return figures.forest(rows, x="share flagged", marks=MARKS, lines=(LEVEL,), nothing=None)


def drawn_effects(table: pd.DataFrame) -> Figure:
    """The feature's effect on test samples in canary and placebo model against that in the control of their seed.

    On the line both are alike: what lies off it is what the one sample did.
    """
    effects = table[table["access"] == "grey-box"].pivot(index="seed", columns="model", values="effect")
    figure, axis = plt.subplots(figsize=(WIDTH, 3.4), layout="constrained")
    for model in ("canary", "placebo"):
        colour, marker, _ = MARKS[model]
        axis.scatter(effects["control"], effects[model], 12, color=colour, marker=marker, label=model, linewidths=0)
    ends = [effects["control"].min(), effects["control"].max()]
    axis.plot(ends, ends, color="0.4", linewidth=0.8, label="as in the control")
    axis.set(xlabel="effect in the control (centred logits)", ylabel="effect in the other model")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    sns.despine(figure)
    return closed(figure)
