"""Scripts and style sheets of a page: those that it uses, and none that it waits for."""

import pytest
from sphinx.builders.html._assets import _CascadingStyleSheet, _JavaScript

from ufm import paths


@pytest.fixture
def scripts(monkeypatch):
    """The extension."""
    monkeypatch.syspath_prepend(str(paths.BOOK / "_ext"))
    import ufm_scripts

    return ufm_scripts


def page(scripts, body, name="controls"):
    """Names of the style sheets of a page with this text, and of its scripts with whether they are deferred."""
    context = {
        "body": body,
        "css_files": [_CascadingStyleSheet(f"_static/{one}.css") for one in ("ufm", "sphinx-design.min", "copybutton")],
        "script_files": [
            _JavaScript("_static/documentation_options.js"),
            _JavaScript("_static/mathjax/es5/tex-mml-chtml.js", priority=300, defer="defer"),
            _JavaScript(None, body="window.MathJax = {}"),
            _JavaScript(None, body="DOCUMENTATION_OPTIONS.pagename = 'controls'"),
            _JavaScript("_static/copybutton.js", async_="async"),
            _JavaScript("_static/reach.js", priority=800),
        ],
    }
    scripts.shown_first(None, name, "page.html", context, None)
    files = [(one.filename or one.attributes["body"], one.attributes.get("defer")) for one in context["script_files"]]
    return [one.filename for one in context["css_files"]], dict(files), context["script_files"][-1]


def test_a_page_has_what_it_uses(scripts):
    styles, files, _ = page(scripts, "plain")
    assert styles == ["_static/ufm.css"]
    assert [*files] == [
        "_static/documentation_options.js",
        "DOCUMENTATION_OPTIONS.pagename = 'controls'",
        "_static/reach.js",
    ]
    styles, files, _ = page(scripts, '<span class="math notranslate">x</span> <details class="sd-dropdown">')
    assert styles == ["_static/ufm.css", "_static/sphinx-design.min.css"]
    assert {"_static/mathjax/es5/tex-mml-chtml.js", "window.MathJax = {}"} < {*files}
    styles, files, _ = page(scripts, '<div class="highlight">')
    assert "_static/copybutton.css" in styles
    assert "_static/copybutton.js" in files


def test_scripts_wait_for_the_page_but_the_first(scripts):
    _, files, last = page(scripts, '<div class="highlight">')
    inside = {"DOCUMENTATION_OPTIONS.pagename = 'controls'", "_static/documentation_options.js"}
    assert {name for name, when in files.items() if when is None} == inside
    assert last.priority == 800


def test_the_search_stays_as_it_is(scripts):
    _, files, _ = page(scripts, "plain", "search")
    assert len(files) == 6
    assert files["_static/reach.js"] is None
