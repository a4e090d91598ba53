"""Which words hang on the random numbers of intervals and tests: the same records, other draws.

Every word of the second plan's questions, of the fourth plan's systems and of pretraining is reached once for each
draw, with as many resamples as the book has, or with `--resamples N`, as many as that. Words that are the same for all
draws are counted, the others listed. The first draw is the book's.

    .venv/bin/python benchmarks/words.py > book/benchmarks/words.md
    .venv/bin/python benchmarks/words.py --resamples 10000 > book/benchmarks/words-before.md
"""

import argparse
from collections.abc import Callable
from types import ModuleType

from ufm import evidence
from ufm.chapters import neighbours, verdicts
from ufm.evidence import pretraining, questions
from ufm.evidence.ways import side_by_side
from ufm.plan import fourth
from ufm.statistics import intervals, roc, tests
from ufm.study.runs import Run

DRAWS = range(4)
TOLD = tuple(f"{auditor}_told" for auditor in questions.AUDITORS)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resamples", type=int)
    resamples = parser.parse_args().resamples
    if resamples:
        questions.RESAMPLES = resamples
        set_default(intervals.bootstrap_t_interval, "n_resamples", resamples)
    recorded = {name: Run(name, {"profile": "paper", "train": False}) for name in ("verdicts", "neighbours", "scaling")}
    cards = {name: evidence.of(run.recorded()) for name, run in recorded.items()}
    found = []
    for draw in DRAWS:
        for module in (intervals, roc, tests):
            for function in drawing(module):
                set_default(function, "seed", draw)
        found.append(words(recorded, cards))
    unlike = [name for name in found[0] if len({one[name] for one in found}) > 1]
    steady = len(found[0]) - len(unlike)
    print(f"{len(found[0])} words, each from {len(DRAWS)} draws: {steady} are the same for all, {len(unlike)} are not.")
    if unlike:
        print("\n| word of | the book's draw | the others |\n|---|---|---|")
        for name in unlike:
            own, *others = (one[name] for one in found)
            print(f"| {', '.join(filter(None, name))} | {own} | {', '.join(others)} |")


def words(recorded: dict[str, Run], cards: dict[str, dict]) -> dict[tuple[str, ...], str]:
    """Every word, by what it is of."""
    found: dict[tuple[str, ...], str] = {}
    for family, table in verdicts.questions(cards["verdicts"], recorded["verdicts"].sweeps).items():
        for row in table.to_dict("records"):
            of = family, row["population"], row["setting"], f"{row['host']} hosts"
            found |= {(*of, name.replace("_", ", ")): str(row[name]) for name in ("there", *TOLD)}
    planned = fourth.side_by_side(recorded["neighbours"].sweeps)
    pairs = side_by_side(cards["neighbours"], planned)
    for row in neighbours.became(pairs, neighbours.asked(pairs, planned)).to_dict("records"):
        of = row["system"], row["way"], f"{row['host']} hosts"
        found |= {(*of, name.replace("_", ", ")): str(row[name]) for name in ("there", "prevents", "change", *TOLD)}
    sides = pretraining.side_by_side(cards["scaling"], recorded["scaling"].sweeps)
    for row in pretraining.compared(sides).to_dict("records"):
        found["pretraining", row["way"], f"{row['host']} hosts"] = str(row["change"])
    return found


def drawing(module: ModuleType) -> list[Callable]:
    """The functions of a module that draw random numbers by a seed."""
    return [one for one in vars(module).values() if "seed" in (getattr(one, "__kwdefaults__", None) or {})]


def set_default(function: Callable, name: str, value: int) -> None:
    """Let a function have another default, wherever it is called from."""
    function.__kwdefaults__[name] = value  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
