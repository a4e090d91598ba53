"""The README's table of results, written from the records so that no number in it is typed."""

import re

from ufm import paths
from ufm.files import write
from ufm.progress import duration
from ufm.runs import committed_records
from ufm.tables import estimates, population_summary

BEGIN, END = "<!-- results: written by `make readme` -->", "<!-- end of results -->"


def results() -> str:
    """What the recorded MLPs on MNIST show, in Markdown: a line of provenance and a table."""
    records = committed_records("mlp")
    entries = records.entries()
    population = records.tables(list(entries))
    summary = population_summary(population["models"], population["scores"])
    devices = " and ".join(dict.fromkeys(entry["device"] for entry in entries.values()))
    seconds = duration(sum(entry["seconds"] for entry in entries.values()))
    seeds = [entry["seed"] for entry in entries.values()]
    title = (
        f"MNIST, full size, MLP 512–256: {len(seeds)} seeds ({min(seeds)} to {max(seeds)}), "
        f"each a canary and a control, "
        f"{seconds} of training and scoring ({devices}). Estimate and 95 % interval over seeds:"
    )
    rows = "\n".join(f"| {quantity} | {text} |" for quantity, text in estimates(summary).items())
    return f"{title}\n\n| quantity | estimate |\n|---|---|\n{rows}"


def update(text: str) -> str:
    """A README with its results renewed; a ValueError where it has no place for them."""
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?(\n{re.escape(END)})", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"README.md: no lines {BEGIN} and {END}")
    return pattern.sub(lambda match: f"{match[1]}\n{results()}\n{match[2]}", text)


def renew() -> None:
    """Rewrite the results in README.md."""
    readme = paths.ROOT / "README.md"
    write(readme, update(readme.read_text()).encode())
