"""What an audit that may stop early asks and finds, on the recorded models of *Many marks*, beside audits that do not.

Each model is asked about the marks that it carries and about its sibling's, which it never saw, by one who knows the
labels. The marks of an audit are those that were planted and unused draws, of which the records hold 200.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/early.py > book/benchmarks/early.md
"""

import numpy as np

from ufm.evidence import lots
from ufm.evidence.exact import Place, combined
from ufm.evidence.looks import adjusted, looks, told
from ufm.evidence.marks import scored
from ufm.measures.layout import LOT_IMAGES, LOT_KEPT
from ufm.plan import many_marks
from ufm.plan.thresholds import SECOND
from ufm.study.runs import Population, Run

N_DRAWS = 1_999
FIXED = (50, 200)  # unused draws of audits that do not stop


def main() -> None:
    print(
        "| marks, whose | audits | "
        + " | ".join(f"{n} unused: found" for n in FIXED)
        + " | may stop: found | marks asked |"
    )
    print("|---|---|---|---|---|---|")
    for population in Run("many-marks", {"profile": "paper", "train": False}).recorded().values():
        cell = many_marks.cell_of(population.protocol)
        if cell is None or cell.places != "one":
            continue
        for whose in ("its own", "its sibling's"):
            found = np.array(audits(population, whose))
            shares = " | ".join(f"{100 * share:.0f} %" for share in found[:, : len(FIXED) + 1].mean(0))
            print(f"| {cell.setting}; {whose} | {len(found)} | {shares} | {found[:, -1].mean():.0f} |")


def audits(population: Population, whose: str) -> list[list[float]]:
    """Of each model: whether it is found with so many unused draws, whether by looks, and how many marks these ask."""
    n, rows = lots.lot_size(population), []
    for entry, card in zip(population.entries, population.arrays, strict=True):
        for model in range(len(population.protocol.roles)):
            marks = model if whose == "its own" else 1 - model
            seed = 2 * entry["seed"] + model

            def p(n_unused, card=card, model=model, marks=marks, seed=seed):
                return combined([place(card, model, marks, n, n_unused)], n_draws=N_DRAWS, seed=seed)

            row: list[float] = [p(n_unused).p <= SECOND.level for n_unused in FIXED]
            some = looks(FIXED[-1])
            for n_unused in some:
                at = adjusted(p(n_unused), len(some)).p
                if told(at, SECOND.level, len(some)):
                    break
            rows.append([*row, at <= SECOND.level, n + n_unused])
    return rows


def place(card: lots.Arrays, model: int, marks: int, n: int, n_unused: int) -> Place:
    """The n marks of one of a seed's two models in one of them, scored among so many that neither has."""
    pool = np.r_[2 * np.arange(n) + marks, 2 * n + np.arange(n_unused)]
    arrays = {
        f"{kind}_{name}": card[f"{kind}_{name}"][model, 0, pool].astype(float)
        for kind in LOT_IMAGES
        for name in LOT_KEPT
    }
    labels = card["host_label"][:n].astype(int)
    return Place(scored(arrays, 1).known[:, labels].T, np.arange(n), np.arange(n, n + n_unused))


if __name__ == "__main__":
    main()
