"""A tiny trained and scored seed, to the digits of `recipe.json`: results may change only with the recipe's number.

After raising `RECIPE` in `ufm.records.fingerprints`, or for new columns, write the values with
`python tests/test_recipe.py`.
"""

import json
from math import isclose
from numbers import Number
from pathlib import Path

import pytest

from ufm.files import write
from ufm.networks import MLP
from ufm.protocol import Protocol, Scoring, Training
from ufm.records.fingerprints import RECIPE
from ufm.study.seeds import finish

VALUES = Path(__file__).with_name("recipe.json")
# All training and scoring settings are given, lest another default look like another result. Float64 and few steps, so
# that another processor's rounding stays far below the tolerance.
PROTOCOL = Protocol(
    dataset="digits",
    n_train=400,
    model=MLP(hidden=(16, 8)),
    training=Training(
        learning_rate=1e-3,
        epsilon=1e-7,
        batch_size=32,
        epochs=3,
        patience=3,
        early_stopping="half",
        precision="float64",
    ),
    scoring=Scoring(ood_set="photo_patches", n_ood=50, n_effect=20, n_permutations=3, n_random=2),
)
SEED = 1
CHANGED = (
    f"results changed under recipe {RECIPE}: raise RECIPE in ufm.records.fingerprints and write the new values with "
    "`python tests/test_recipe.py`"
)


def results() -> dict[str, dict[str, list]]:
    """Every number in the tables of the seed, by table and column, a value per row (None where there is none)."""
    [(_, measured)] = finish(PROTOCOL, [SEED])
    columns = {
        name: {column: table[column].tolist() for column in table.columns} for name, table in measured.tables.items()
    }
    return {name: {column: row for column, row in of.items() if numeric(row)} for name, of in columns.items()}


def numeric(values: list) -> bool:
    return all(value is None or isinstance(value, Number) for value in values)


def recorded() -> dict[str, dict]:
    """The results that are kept, by recipe number."""
    return json.loads(VALUES.read_text(encoding="utf-8")) if VALUES.exists() else {}


def differences(old: dict, new: dict) -> list[str]:
    """A line for every kept column that the new results lack or in which they differ."""
    lines = []
    for name, columns in old.items():
        for column, values in columns.items():
            found = new.get(name, {}).get(column)
            if found is None or not same(values, found):
                lines.append(f"{name}.{column}: {values} became {found}")
    return lines


def test_results_change_only_with_the_recipe():
    old, new = recorded().get(str(RECIPE)), results()
    if old is None:
        pytest.fail(CHANGED, pytrace=False)
    if lines := differences(old, new):
        pytest.fail("\n".join([CHANGED, *lines]), pytrace=False)
    shapes = [{name: list(columns) for name, columns in one.items()} for one in (old, new)]
    assert shapes[0] == shapes[1], "columns were added: write their values with `python tests/test_recipe.py`"


def same(old: list, new: list) -> bool:
    return len(old) == len(new) and all(
        one is other if None in (one, other) else isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)
        for one, other in zip(old, new, strict=True)
    )


def main() -> None:
    """Write the results under the recipe's number; kept ones may gain columns but not change."""
    kept, new = recorded(), results()
    if lines := differences(kept.get(str(RECIPE), {}), new):
        raise SystemExit("\n".join([f"results changed under recipe {RECIPE}: raise RECIPE first", *lines]))
    write(VALUES, (json.dumps(kept | {str(RECIPE): new}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
