"""Works that the text cites, for notebooks that stand outside the book."""

from pybtex.database import Entry, parse_file

from ufm import paths
from ufm.book.published import configuration


def citations() -> dict[str, str]:
    """Each work of the book's bibliography by its key, as a Markdown link where it has an address."""
    listed = configuration().get("sphinx", {}).get("config", {}).get("bibtex_bibfiles", [])
    return {key: cited(entry) for name in listed for key, entry in parse_file(str(paths.BOOK / name)).entries.items()}


def cited(entry: Entry) -> str:
    """Authors and year, with a link."""
    people = [" ".join(person.prelast_names + person.last_names) for person in entry.persons.get("author", [])]
    names = " and ".join(people) if len(people) < 3 else f"{people[0]} and others"
    words = " ".join(filter(None, [names or entry.fields.get("title", entry.key), entry.fields.get("year")]))
    address = f"https://doi.org/{entry.fields['doi']}" if "doi" in entry.fields else entry.fields.get("url")
    return f"[{words}]({address})" if address else words
