"""The bibliography, and how the book is cited."""

import importlib.util
import re

import pytest
import yaml
from pybtex.database import parse_file, parse_string

from ufm import paths
from ufm.book import notebooks, site

PAGES = {path.stem: path.read_text(encoding="utf-8") for path in paths.BOOK.glob("*.md")}
PAGES |= {name: notebooks.source(name).read_text(encoding="utf-8") for name in notebooks.NAMES}


@pytest.fixture(scope="module")
def entries():
    return parse_file(paths.BOOK / "references.bib").entries


@pytest.fixture(scope="module")
def extension():
    specification = importlib.util.spec_from_file_location("ufm_citation", paths.BOOK / "_ext" / "ufm_citation.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def citation():
    return yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def cited(text):
    """The keys that a page cites."""
    return {key.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for key in keys.split(",")}


def test_every_entry_is_cited_and_every_citation_has_an_entry(entries):
    assert set().union(*map(cited, PAGES.values())) == set(entries)


def test_every_entry_can_be_found(entries):
    for key, entry in entries.items():
        fields = entry.fields
        assert entry.persons["author"], key
        assert re.fullmatch(r"\d{4}", fields["year"]), key
        if entry.type == "book":
            assert fields["publisher"], key
        else:
            assert {"doi", "eprint", "url"} & set(fields), key
        assert re.fullmatch(r"10\.\d{4,5}/\S+", fields.get("doi", "10.1000/none")), key
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", "0000.00000")), key
        assert ("eprint" in fields) == (fields.get("archiveprefix") == "arXiv"), key
    for field in ("title", "doi", "eprint"):
        values = [entry.fields[field].lower() for entry in entries.values() if field in entry.fields]
        assert len(values) == len(set(values)), field


def test_both_files_say_the_same_of_the_paper(entries, citation):
    by_title = {entry.fields["title"]: entry for entry in entries.values()}
    for one in citation["references"]:
        entry = by_title[one["title"]]
        assert entry.fields["year"] == str(one["year"])
        assert [person.last_names[0] for person in entry.persons["author"]] == [
            author["family-names"] for author in one["authors"]
        ]
        numbers = {entry.fields.get("doi"), f"arXiv:{entry.fields.get('eprint')}"}
        assert numbers & {one.get("doi"), *(other["value"] for other in one.get("identifiers", ()))}


def test_the_book_is_cited_by_what_its_citation_file_says(extension, citation):
    code, words = extension.bibtex(citation), "".join(node.astext() for node in extension.sentence(citation))
    [entry] = parse_string(code, "bibtex").entries.values()
    assert entry.fields["title"].strip("{}") == citation["title"]
    assert entry.fields["version"] == str(citation["version"])
    for text in (code, words):
        assert citation["title"] in text
        assert extension.persons(citation)[0] in text
        assert str(citation["version"]) in text


def test_what_a_release_adds_is_cited_too(extension):
    released = {
        "title": "A book",
        "version": "1.0.0",
        "date-released": "2027-01-31",
        "doi": "10.5281/zenodo.1",
        "repository-code": "https://example.org/book",
        "authors": [{"given-names": "A.", "family-names": "Uthor"}, {"name": "The group"}, {"family-names": "Single"}],
    }
    [entry] = parse_string(extension.bibtex(released), "bibtex").entries.values()
    assert dict(entry.fields) == {"title": "{A book}", "version": "1.0.0", "year": "2027", "doi": "10.5281/zenodo.1"}
    assert list(map(str, entry.persons["author"])) == ["Uthor, A.", "{The group}", "Single"]
    words = "".join(node.astext() for node in extension.sentence(released))
    assert words == "A. Uthor, The group and Single (2027). A book, version 1.0.0. https://doi.org/10.5281/zenodo.1"
    del released["doi"]
    assert "url = {https://example.org/book}" in extension.bibtex(released)


@pytest.mark.parametrize(("text", "there"), [("as {cite}`holm1979` says", True), ("nothing is cited", False)])
def test_a_page_of_its_own_has_what_it_cites(text, there, tmp_path, monkeypatch):
    seen = {}

    def staged(source, folders):
        (source / "controls.ipynb").write_text(text, encoding="utf-8")

    def rendered(source, toc, parent, *, strict):
        seen["files"] = {path.name for path in source.iterdir()}
        seen["toc"] = yaml.safe_load(toc.read_text(encoding="utf-8"))
        (parent / "_build" / "html").mkdir(parents=True)
        return parent / "_build" / "html"

    monkeypatch.setattr(site, "stage", staged)
    monkeypatch.setattr(site, "provenance", lambda folders: {})
    monkeypatch.setattr(site, "render", rendered)
    site.page("controls", tmp_path)
    assert ({"references.bib", "bibliography.md"} <= seen["files"]) is there
    assert seen["toc"].get("chapters", []) == [{"file": "bibliography"}] * there
