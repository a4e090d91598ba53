"""The book, the README and the notebooks, written from what is recorded."""

import sys
from pathlib import Path


def book(profile: str = "embedded", strict: bool = False) -> None:
    """Build the site from the executed notebooks; with --strict anything missing is an error."""
    from ufm.book import notebooks, site

    with site.held(profile):
        lacking = site.missing(profile)
        if others := notebooks.others():
            words = ", ".join(others)
            print(f"not in the book, for they are no chapters (`make run` takes them): {words}", file=sys.stderr)
        for line in lacking:
            print(f"missing: {line}", file=sys.stderr)
        if strict and lacking:
            raise ValueError(f"{len(lacking)} of the {profile} profile's pages lack what is planned (see above)")
        print(site.build(profile))


def pdf() -> None:
    """Print the book that was built last as one PDF file, with Chromium."""
    from ufm.book import printed

    print(printed.pdf())


def readme() -> None:
    """Renew the README's table of results from the records."""
    from ufm.book.readme import renew

    renew()


def ipynb(folder: Path, as_executed: bool = False) -> None:
    """Write the notebooks of the embedded profile as .ipynb files that read and run outside the book.

    With --as-executed they stay as they are, for the comparison with later executions.
    """
    from ufm.book import notebooks, site

    for path in notebooks.write_ipynb(folder) if as_executed else site.write_notebooks("embedded", folder):
        print(path)


def pictures() -> None:
    """Keep the images of the hosts that pages show in book/records, so that they need no image files."""
    from ufm.plan import registry
    from ufm.study import pictures

    for name in registry.pictured():
        print(f"{name}: {pictures.keep(pictures.of_sweep(registry.sweeps()[name]))} images")
