"""How far another device moves models: recorded seeds of a sweep with cards, trained again on this one, one by one.

Devices add in different orders, and training amplifies the difference. The table sets what that does beside what tells
two seeds apart.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/devices.py mnist-small-weight-decay 1000 1001 1002
"""

import sys

import numpy as np

from ufm.evidence import Cards, contrasts, stack
from ufm.plan.registry import sweeps
from ufm.records import committed, joined
from ufm.records.provenance import device_name
from ufm.study.seeds import finish


def main(name: str, seeds: list[int]) -> None:
    protocol = sweeps()[name].protocol
    recorded = [committed(name).whole(protocol.fingerprint(seed)) for seed in seeds]
    devices = {entry["device"] for entry, _ in recorded}
    print(f"{name}, seeds {', '.join(map(str, seeds))}: recorded on {' and '.join(sorted(devices))}, trained again on")
    print(f"{device_name('cpu')}\n", flush=True)
    again = [finish(protocol, [seed])[0] for seed in seeds]
    ours, theirs = (quantities(cards(protocol, ones)) for ones in (recorded, again))
    print("| quantity | recorded, mean | again, mean | difference, root mean square | spread over seeds, s.d. |")
    print("|---|---|---|---|---|")
    for what, values in ours.items():
        moved = np.sqrt(((theirs[what] - values) ** 2).mean())
        spread = values.std(0, ddof=1).mean()
        first, second = (round(float(one.mean()), 4) + 0.0 for one in (values, theirs[what]))  # minus zero is zero
        numbers = " | ".join(f"{round(one, 4):.3g}" for one in (first, second, moved, spread))
        print(f"| {what} | {numbers} |")


def cards(protocol, seeds) -> Cards:
    """Manifest entries and what is measured of the seeds, as cards."""
    tables = joined(measured.tables for _, measured in seeds)
    return stack(protocol, [entry for entry, _ in seeds], [measured.arrays for _, measured in seeds], tables["models"])


def quantities(cards: Cards) -> dict[str, np.ndarray]:
    """What is compared, the seeds first."""
    [host] = cards.protocol.hosts
    models = {
        name: cards.models[name].to_numpy(float).reshape(len(cards.seeds), -1) for name in ("best_epoch", "accuracy")
    }
    return {
        f"D, {host} host, best epoch": contrasts(cards, host),
        f"D, {host} host, epoch 10": contrasts(cards, host, epoch="early"),
        "patch effects, OOD images, best epoch": cards.arrays["ood_shift"].astype(float),
        "best epoch": models["best_epoch"],
        "accuracy": models["accuracy"],
    }


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
