"""Does a second execution find the same? Compares the summary tables of two executions, quantity by quantity."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ufm.statistics import SUMMARY_COLUMNS
from ufm.study import manifest

AGREES = "agrees"
DIFFERS = "differs"
NOT_COMPARABLE = "not comparable"
ELSEWHERE = "of other populations"  # reason for which a row is not comparable, and no sign against the re-run

# Parameters that say how an execution ran, not what it measured.
EXECUTION_ONLY = frozenset({"device", "data_root", "fresh", "train"})
# Parameters that say which seeds were drawn, and how many: another draw estimates the same quantities.
SAMPLE = frozenset({"n_seeds", "seed"})

COMPARISON_COLUMNS = (
    "quantity",
    *("book", "book_low", "book_high"),
    *("rerun", "rerun_low", "rerun_high"),
    *("verdict", "reason"),
)
# Two numbers this close are the same number printed twice; the absolute part serves values that should be zero.
RELATIVE_TOLERANCE = 1e-9
ABSOLUTE_TOLERANCE = 1e-12


def compare_tables(book: pd.DataFrame, rerun: pd.DataFrame) -> pd.DataFrame:
    """Compares two summary tables (columns quantity, estimate, low, high, n), one row a quantity.

    Columns of the result: quantity, book, book_low, book_high, rerun, rerun_low, rerun_high, verdict, reason; the
    book's quantities come first, in its order. Verdicts:

    - *agrees*: the estimates are equal (relative 1e-9), or differ by no more than √(h_book² + h_rerun²), where h is the
      half-width of an interval on the side that faces the other estimate. A confidence interval of the difference then
      contains zero (facing sides serve the skewed intervals of shares: Zou and Donner, Statistics in Medicine 27,
      2008). It supposes independent seeds; with the same seeds on both sides it is lenient.
    - *differs*: neither. Without intervals on both sides only equal estimates agree.
    - *not comparable*: on one side only, not finite, fewer than two seeds, or an interval on one side only; but equal
      estimates without intervals agree, also of one seed.

    Raises ValueError: a column is missing, or a quantity stands twice.
    """
    book_rows, rerun_rows = _rows_by_quantity(book, "book"), _rows_by_quantity(rerun, "rerun")
    quantities = list(dict.fromkeys([*book_rows, *rerun_rows]))
    rows = [_compare_rows(quantity, book_rows.get(quantity), rerun_rows.get(quantity)) for quantity in quantities]
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def compare_runs(book: Path, rerun: Path) -> tuple[pd.DataFrame, bool]:
    """All summary tables of two executions through `compare_tables`, with a column `table`, and whether all agree.

    Each folder holds a manifest and `tables/*.csv`; of these the ones with the five summary columns are compared. Where
    a parameter outside EXECUTION_ONLY and SAMPLE differs, the executions measured different things: every row is *not
    comparable* and its reason names each such parameter. A re-run of some of the book's sweeps is compared in the
    quantities of the populations that it shows; others are *not comparable* with the reason ELSEWHERE. The second
    result is True only if there is at least one row beside those and every such row agrees.

    Raises ValueError: a folder without readable manifest or summary tables, or a table that `compare_tables` refuses.
    """
    book, rerun = Path(book), Path(rerun)
    our_manifest, their_manifest = manifest.read(book), manifest.read(rerun)
    ours, theirs = our_manifest.parameters, their_manifest.parameters
    difference = _parameter_difference(ours, theirs)
    book_tables = _read_summary_tables(book, our_manifest.populations)
    rerun_tables = _read_summary_tables(rerun, their_manifest.populations)
    nothing = pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    parts = []
    for name in sorted(book_tables.keys() | rerun_tables.keys()):
        try:
            part = compare_tables(book_tables.get(name, nothing), rerun_tables.get(name, nothing))
        except ValueError as error:
            raise ValueError(f"table {name}: {error}") from error
        part.insert(0, "table", name)
        parts.append(part)
    # From records: concatenating an empty part with others is ambiguous about column types in pandas.
    rows = [row for part in parts for row in part.to_dict("records")]
    comparison = pd.DataFrame(rows, columns=["table", *COMPARISON_COLUMNS])
    if difference:
        comparison["verdict"], comparison["reason"] = NOT_COMPARABLE, difference
    elif _sweeps(theirs).keys() < _sweeps(ours).keys():
        populations = _populations(book_tables) | _populations(rerun_tables)
        of = [populations.get((row["table"], row["quantity"])) for row in rows]
        shown = {one for one, there in zip(of, comparison["rerun"].notna(), strict=True) if there and one is not None}
        comparison.loc[[one not in shown for one in of], ["verdict", "reason"]] = NOT_COMPARABLE, ELSEWHERE
    compared = comparison["verdict"][comparison["reason"] != ELSEWHERE]
    return comparison, len(compared) > 0 and bool((compared == AGREES).all())


def _compare_rows(quantity: str, book: Mapping[str, float] | None, rerun: Mapping[str, float] | None) -> tuple:
    missing = dict.fromkeys(SUMMARY_COLUMNS, math.nan)
    if book is None or rerun is None:
        verdict, reason = NOT_COMPARABLE, f"only in the {'rerun' if book is None else 'book'}"
    elif math.isnan(book["low"]) and math.isnan(rerun["low"]) and _equal(book["estimate"], rerun["estimate"]):
        verdict, reason = AGREES, "equal"
    elif obstacle := _obstacle(book, "book") or _obstacle(rerun, "rerun"):
        verdict, reason = NOT_COMPARABLE, obstacle
    else:
        verdict, reason = _verdict(book, rerun)
    ends = [side[column] for side in (book or missing, rerun or missing) for column in ("estimate", "low", "high")]
    return (quantity, *ends, verdict, reason)


def _obstacle(row: Mapping[str, float], side: str) -> str:
    """Why this side's row cannot be compared; empty if it can."""
    estimate, low, high, n = (row[column] for column in ("estimate", "low", "high", "n"))
    if not math.isfinite(estimate):
        return f"the {side}'s estimate is {estimate:g}"
    if not n >= 2:  # a missing n is NaN and ends here too
        return f"the {side} has fewer than two seeds (n = {n:g})"
    if math.isnan(low) and math.isnan(high):
        return ""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        return f"the {side}'s interval is [{low:g}, {high:g}]"
    return ""


def _verdict(book: Mapping[str, float], rerun: Mapping[str, float]) -> tuple[str, str]:
    """Verdict and reason for two rows without obstacle."""
    difference = abs(rerun["estimate"] - book["estimate"])
    with_interval = [not math.isnan(side["low"]) for side in (book, rerun)]
    if _equal(book["estimate"], rerun["estimate"]):
        return AGREES, "equal"
    if not any(with_interval):
        return DIFFERS, f"no intervals, and the estimates differ by {difference:.3g}"
    if not all(with_interval):
        return NOT_COMPARABLE, f"only the {'book' if with_interval[0] else 'rerun'} has an interval"
    smaller, larger = sorted((book, rerun), key=lambda row: row["estimate"])
    # A bootstrap interval can lie wholly on one side of its estimate; that side then has no width.
    below = max(larger["estimate"] - larger["low"], 0.0)
    above = max(smaller["high"] - smaller["estimate"], 0.0)
    allowed = math.hypot(below, above)
    verdict, relation = (AGREES, "within") if difference <= allowed else (DIFFERS, "beyond")
    return verdict, f"difference {difference:.3g}, {relation} {allowed:.3g}"


def _equal(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)


def _rows_by_quantity(table: pd.DataFrame, side: str) -> dict[str, dict[str, float]]:
    absent = [column for column in SUMMARY_COLUMNS if column not in table.columns]
    if absent:
        raise ValueError(f"the {side}'s summary table lacks the column {', '.join(absent)}")
    if table["quantity"].isna().any():
        raise ValueError(f"the {side}'s summary table has a row without a quantity")
    repeated = table["quantity"][table["quantity"].duplicated()]
    if len(repeated):
        raise ValueError(f"the {side}'s summary table has the quantity {repeated.iloc[0]} twice")
    numbers = table[list(SUMMARY_COLUMNS[1:])].astype(float).to_dict("records")
    return dict(zip(table["quantity"], numbers, strict=True))


def _parameter_difference(book: Mapping[str, Any], rerun: Mapping[str, Any]) -> str:
    """Names each parameter that makes two executions incomparable, with both values; empty if there is none.

    Those of a sweep of the re-run are compared with those of the book's sweep of this name.
    """

    def shown(parameters: Mapping[str, Any], name: str) -> str:
        return json.dumps(parameters[name]) if name in parameters else "none"

    ours, theirs, parts = _sweeps(book), _sweeps(rerun), []
    if not theirs.keys() <= ours.keys():
        parts.append(f"sweeps ({', '.join(ours)} in the book, {', '.join(theirs)} in the rerun)")
    for sweep in filter(theirs.__contains__, ours):
        one, other = ours[sweep], theirs[sweep]
        names = sorted((one.keys() | other.keys()) - EXECUTION_ONLY - SAMPLE)
        differing = [name for name in names if shown(one, name) != shown(other, name)]
        parts += [f"{name} ({shown(one, name)} in the book, {shown(other, name)} in the rerun)" for name in differing]
    return f"parameters differ: {', '.join(dict.fromkeys(parts))}" if parts else ""


def _sweeps(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of each sweep that are not None: its own, and those in which it is like the first."""
    first = {name: value for name, value in parameters.items() if name != "sweeps"}
    return {
        sweep: {name: value for name, value in (first | own).items() if value is not None}
        for sweep, own in parameters["sweeps"].items()
    }


def _populations(tables: Mapping[str, pd.DataFrame]) -> dict[tuple[str, str], str]:
    """The population of each quantity, by table and quantity, of tables that have several."""
    several = {name: table for name, table in tables.items() if table.index.name}
    return {
        (name, quantity): of
        for name, table in several.items()
        for of, quantity in zip(table.index, table["quantity"], strict=True)
    }


def _read_summary_tables(folder: Path, populations: Mapping[str, list[str]]) -> dict[str, pd.DataFrame]:
    """The folder's tables with the five summary columns, by file name without suffix; their index is as it was kept."""
    tables = {}
    for path in sorted((folder / "tables").glob("*.csv")):
        try:
            # A quantity called "1" or "NA" keeps its name: text, and only an empty cell is a missing value.
            table = pd.read_csv(path, dtype={"quantity": str}, keep_default_na=False, na_values=[""])
            if path.stem in populations:
                table.index = pd.Index(populations[path.stem], name="population")
            tables[path.stem] = table
        except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors, as an index of another length
            raise ValueError(f"{folder} has a table that cannot be read: {path.name}") from error
    summaries = {name: table for name, table in tables.items() if set(SUMMARY_COLUMNS) <= set(table.columns)}
    if not summaries:
        raise ValueError(f"{folder} has no summary table (columns {', '.join(SUMMARY_COLUMNS)}) in tables/")
    return summaries
