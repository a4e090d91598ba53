"""The README's table of results, written from the records so that no number in it is typed."""

import re

from ufm import paths
from ufm.files import write
from ufm.progress import duration
from ufm.runs import Run, committed_records
from ufm.sources import source
from ufm.tables import estimates, population_summary

BEGIN, END = "<!-- results: written by `make readme` -->", "<!-- end of results -->"


def results() -> str:
    """What the recorded MLPs on MNIST show, in Markdown: a line of provenance and a table."""
    run, records = Run("mlp", profile="paper", train=False), committed_records("mlp")
    entries = {one: entry for one, entry in records.entries().items() if one in run.fingerprints()}
    population = records.tables(list(entries))
    summary = population_summary(population["models"], population["scores"])
    devices = " and ".join(dict.fromkeys(entry["device"] for entry in entries.values()))
    title = (
        f"{source(run.protocol.dataset).title}, full size, MLP {'–'.join(map(str, run.protocol.model.hidden))}: "
        f"{len(entries)} of {run.n_canaries} planned seeds, each a canary and a control, "
        f"{duration(sum(entry['seconds'] for entry in entries.values()))} of training and scoring, added up over "
        f"processes ({devices}). Estimate and 95 % interval over seeds:"
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
