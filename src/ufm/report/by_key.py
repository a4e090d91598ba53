"""What is told with a key and without it, as the book prints and draws it."""

from math import nan

import pandas as pd
from matplotlib.figure import Figure

from ufm.evidence.keyed import WITHOUT
from ufm.report.by_way import there
from ufm.report.figures import forest, rows_of
from ufm.report.texts import REHEARSED, by_word, p_text, with_interval

NOT_HERE = "Not trained on these images"
SHOWN = {"contrast": "mean D, nats", "unknown_found": "found, label unknown", "known_found": "found, label known"}
SHOWN |= {"accuracy": "accuracy"}
DIGITS = {"contrast": 3, "accuracy": 3}


def printed_keys(table: pd.DataFrame) -> pd.DataFrame:
    """A row a population, who asks and kind of host of `ufm.evidence.keyed.by_key`."""
    rows = [
        {"population": row["population"], "models": row["models"], "hosts": row["host"]}
        | {words: there(row, name, DIGITS.get(name, 2)) for name, words in SHOWN.items()}
        | {"p": p_text(row.get("p_holm", nan)), "is it there?": row.get("there") or "–"}
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["population", "models", "hosts", *SHOWN.values(), "p", "is it there?"])


def texts(table: pd.DataFrame, profile: str) -> dict[str, str]:
    """For the text: what is told with the key and without it, and whether the letter is there without it."""
    if table.empty:
        return dict.fromkeys(("keyed", "keyless"), NOT_HERE)
    if profile == "embedded":
        return dict.fromkeys(("keyed", "keyless"), REHEARSED.capitalize())
    if "contrast" not in table:
        return dict.fromkeys(("keyed", "keyless"), "Not recorded yet")
    said, found = [], table.dropna(subset=["contrast"])
    for (population, host), rows in found.groupby(["population", "host"], sort=False):
        numbers = (
            f"{row['models']} D {with_interval(row, digits=3, end='contrast')}, found "
            f"{with_interval(row, end='unknown_found')} and with the label {with_interval(row, end='known_found')}, "
            f"accuracy {with_interval(row, digits=3, end='accuracy')}"
            for row in rows.to_dict("records")
        )
        said.append(f"{population.partition(',')[0]}, {host} hosts: {'; '.join(numbers)}")
    keyless = found[found["keyed"] == WITHOUT]
    if keyless.empty:
        return {"keyed": ". ".join(said), "keyless": "Not recorded yet"}
    names = keyless["population"].str.partition(",")[0] + ", " + keyless["host"] + " hosts"
    return {"keyed": ". ".join(said), "keyless": by_word(keyless["there"], names)}


def drawn_keys(table: pd.DataFrame) -> Figure:
    """Each quantity with intervals, a row a population and who asks, both kinds of host, a panel a quantity."""
    where = table["population"].str.partition(",")[0] + ", " if table["population"].nunique() > 1 else ""
    names = {"label": where + table["models"], "kind": table["host"]}
    rows = [rows_of(table, name, panel=title, **names) for name, title in SHOWN.items()]
    return forest(pd.concat(rows), x="", share=False)
