"""What the first plan's records say that its words did not, by NumPy and SciPy alone: what the second plan rests on.

.venv/bin/python benchmarks/first_plan.py > book/benchmarks/first-plan.md
"""

import csv
import json
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.optimize import brentq

RECORDS = Path(__file__).resolve().parents[1] / "book" / "records"
TITLES = {
    "mnist-small": "MNIST, small",
    "fashion_mnist-small": "Fashion-MNIST, small",
    "mnist-full": "MNIST, full",
    "fashion_mnist-full": "Fashion-MNIST, full",
    "cifar10-small-cnn1": "CNN-1, CIFAR-10, small",
    "cifar10-small-cnn2": "CNN-2, CIFAR-10, small",
}
SMALL, FULL = ("mnist-small", "fashion_mnist-small"), ("mnist-full", "fashion_mnist-full")
# Seeds of the second plan by population and kind of host.
PLANNED = {
    ("mnist-full", "random"): 200,
    ("fashion_mnist-full", "random"): 96,
    ("mnist-full", "hard"): 40,
    ("fashion_mnist-full", "hard"): 40,
    ("mnist-small", "random"): 24,
    ("mnist-small", "hard"): 24,
    ("fashion_mnist-small", "random"): 24,
    ("fashion_mnist-small", "hard"): 24,
}
PLAIN, LETTER = range(2)


class Seeds:
    """The seeds of a folder of records: D, what hosts gain, and effects, of canary and placebo on one kind of host."""

    def __init__(self, folder: str, host: str):
        manifest = json.loads((RECORDS / folder / "manifest.json").read_text(encoding="utf-8"))
        with open(RECORDS / folder / "models.csv", encoding="utf-8") as file:
            rows: dict[str, list[dict]] = {}
            for row in csv.DictReader(file):
                rows.setdefault(row["record"], []).append(row)
        found: dict[str, list] = {}
        for record in sorted(manifest, key=lambda one: manifest[one]["seed"]):
            models = rows[record]
            hosts = list(dict.fromkeys(one["host"] for one in models if one["host"]))
            canary, placebo = (
                [(one["role"], one["host"]) for one in models].index((role, host)) for role in ("canary", "placebo")
            )
            kind, label = hosts.index(host), int(models[canary]["canary_label"])
            card = np.load(RECORDS / folder / "arrays" / f"{record}.npz")
            shift = card["ood_shift"].astype(float)
            permutations = shift[:, 1 + len(hosts) :, label][:, :50]
            letter, own = shift[:, 0, label] - permutations.mean(1), shift[:, 1 + kind, label] - permutations.mean(1)
            at = (card["host_seed"] == manifest[record]["seed"]) & (card["host_kind"] == kind)
            fits = card["host_log_probability"][:, 0, at][:, 0].astype(float)  # model, version
            gain = fits[:, LETTER] - fits[:, PLAIN]
            values = {
                "d": (letter[canary] - letter[placebo] + own[placebo] - own[canary]) / 2,
                "scale": permutations[[canary, placebo]].std(1, ddof=1).mean(),
                "control": letter[0],
                "adds": letter[canary] - letter[0],
                "canary gain": gain[canary] - gain[0],
                "placebo gain": gain[placebo] - gain[0],
                "letter": gain[canary] - gain[placebo],
                "same epoch": models[canary]["best_epoch"] == models[placebo]["best_epoch"],
            }
            for name, value in values.items():
                found.setdefault(name, []).append(value)
        self.values = {name: np.array(values) for name, values in found.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[name]


def power(mean: float, sd: float, n: int) -> float:
    """With which probability a two-sided t-test over n seeds at 5 % finds a mean."""
    critical, noncentrality = stats.t.isf(0.025, n - 1), mean / sd * np.sqrt(n)
    return float(stats.nct.sf(critical, n - 1, noncentrality) + stats.nct.sf(critical, n - 1, -noncentrality))


def smallest_found(sd: float, n: int) -> float:
    """The mean that such a test finds with a power of 80 %."""
    return float(brentq(lambda mean: power(mean, sd, n) - 0.8, 0, 5 * sd / np.sqrt(n)))


def main() -> None:
    print(
        "**Learnt**, hard hosts: of how many seeds the host gains a nat more from the letter, in the canary than in\n"
        "the control, in the placebo model than in the control, and in the canary than in the placebo model.\n"
    )
    head("population", "seeds", "canaries", "placebo models, which never saw the letter", "canary less placebo model")
    for folder, title in TITLES.items():
        seeds = Seeds(folder, "hard")
        line(title, len(seeds["d"]), *((seeds[name] >= 1).sum() for name in ("canary gain", "placebo gain", "letter")))
    print(
        "\n**Detection**, hard hosts: what the canary adds to the letter's specific effect on the label, beside the\n"
        "spread of that effect over controls, and D, in nats and in each model's own spread over permutations.\n"
    )
    head("population", "seeds", "added", "spread in controls", "ratio", "D, nats", "D over own spread")
    decayed = {f"{folder}-weight-decay": f"{TITLES[folder]}, weight decay" for folder in SMALL}
    for folder, title in ({name: TITLES[name] for name in (*SMALL, *FULL)} | decayed).items():
        seeds = Seeds(folder, "hard")
        added, spread = seeds["adds"].mean(), seeds["control"].std(ddof=1)
        scaled = (seeds["d"] / seeds["scale"]).mean()
        line(title, len(seeds["d"]), added, spread, added / spread, seeds["d"].mean(), scaled)
    print("\n**Age**: the spread of D over seeds whose canary and placebo kept the same epoch, and over the others.\n")
    head("population", "host", "seeds", "share of the same epoch", "spread, same epoch", "spread, others", "mean D")
    for folder in (*SMALL, *FULL):
        for host in ("random", "hard"):
            seeds = Seeds(folder, host)
            d, same = seeds["d"], seeds["same epoch"].astype(bool)
            spreads = d[same].std(ddof=1), d[~same].std(ddof=1)
            line(TITLES[folder], host, len(d), same.mean(), *spreads, d.mean())
    print(
        "\n**Power**: the mean D that so many seeds find with a power of 80 %, and the power for 0.02 nats, by the\n"
        "spread over the first plan's seeds of one age.\n"
    )
    head("population", "host", "spread", "seeds", "finds", "power for 0.02 nats", "not there, if nothing is")
    for (folder, host), n in PLANNED.items():
        seeds = Seeds(folder, host)
        spread = seeds["d"][seeds["same epoch"].astype(bool)].std(ddof=1)
        # With nothing there, how often a 95 % interval lies below 0.02 nats.
        below = float(stats.norm.cdf(0.02 * np.sqrt(n) / spread - stats.t.isf(0.025, n - 1)))
        line(TITLES[folder], host, spread, n, smallest_found(spread, n), power(0.02, spread, n), below)
    print("\n**One presentation**: mean D on hard hosts of small MNIST after the first epoch, Student's interval.\n")
    head("seeds", "mean D", "low", "high")
    first = after_the_first_epoch()
    half = stats.t.isf(0.025, len(first) - 1) * first.std(ddof=1) / np.sqrt(len(first))
    line(len(first), first.mean(), first.mean() - half, first.mean() + half)
    print(
        "\n**Coverage** of 95 % intervals of the mean, where the seeds of the first plan are all there are and n\n"
        "of them are drawn: bias-corrected and accelerated, Student's, and bootstrap-t.\n"
    )
    head("population", "host", "skewness", "n", "BCa", "Student's t", "bootstrap-t")
    for folder in SMALL:
        for host in ("random", "hard"):
            d = Seeds(folder, host)["d"]
            for n in (24, 40, 200):
                line(TITLES[folder], host, float(stats.skew(d)), n, *coverage(d, n))


def after_the_first_epoch() -> np.ndarray:
    """D (n_seeds,) of the seeds that were measured after every epoch: control, canary and placebo on a hard host."""
    folder = RECORDS / "mnist-small-epoch-by-epoch"
    found = []
    for path in sorted((folder / "arrays").glob("*.npz")):
        card = np.load(path)
        effect = card["epoch_ood_effect"][:, 0, :, int(card["host_label"][0])].astype(float)
        (letter, own), (letter_placebo, own_placebo) = effect[1], effect[2]
        found.append((letter - letter_placebo + own_placebo - own) / 2)
    return np.array(found)


def coverage(values: np.ndarray, n: int, n_samples: int = 2_000, n_resamples: int = 1_000) -> list[float]:
    """How often each kind of interval of n values holds the mean of all of them."""
    rng, inside = np.random.default_rng(0), np.zeros(3)
    quantiles = [0.025, 0.975]
    for _ in range(n_samples):
        x = rng.choice(values, n)
        error = x.std(ddof=1) / np.sqrt(n)
        bca = stats.bootstrap((x,), np.mean, n_resamples=n_resamples, method="BCa", vectorized=True, random_state=rng)
        drawn = rng.choice(x, (n_resamples, n))
        errors = drawn.std(1, ddof=1) / np.sqrt(n)
        high, low = np.quantile(((drawn.mean(1) - x.mean()) / errors)[errors > 0], quantiles)
        ends = (
            tuple(bca.confidence_interval),
            x.mean() + error * stats.t.ppf(quantiles, n - 1),
            (x.mean() - low * error, x.mean() - high * error),
        )
        inside += [first <= values.mean() <= last for first, last in ends]
    return list(inside / n_samples)


def head(*cells: str) -> None:
    """Print the first two lines of a table."""
    line(*cells)
    line(*["---"] * len(cells))


def line(*cells: object) -> None:
    """Print a line of a table, numbers with three decimals."""
    shown = (f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells)
    print(f"| {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
