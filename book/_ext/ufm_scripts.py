"""Sphinx extension of this book: no page waits for a script to be shown, or loads what it does not use."""

FIRST = "documentation_options.js"  # to which scripts in the page itself add
# What has a word in its name, scripts and style sheets, is of use where the page has this in its text.
OF_USE = {
    "mathjax": 'class="math',
    "clipboard": 'class="highlight',
    "copybutton": 'class="highlight',
    "design": "sd-",
    "thebe": "thebe",
    "toggle": "toggle",
}


def needed(file, body):
    """Whether a page with this text needs a script, which may stand in the page itself, or a style sheet."""
    name = f"{file.filename} {file.attributes.get('body', '')}".lower()
    return all(found in body for word, found in OF_USE.items() if word in name)


def deferred(script):
    """A script that runs once the page is there; one in the page itself stays as it is."""
    if not script.filename or str(script.filename).endswith(FIRST):
        return script
    return type(script)(script.filename, priority=script.priority, **{**script.attributes, "defer": "defer"})


def shown_first(app, pagename, templatename, context, doctree):
    """Leave away what a page does not need and defer scripts; the search has others of its own between them."""
    if pagename != "search":
        body = context.get("body", "")
        context["css_files"] = [one for one in context["css_files"] if needed(one, body)]
        context["script_files"] = [deferred(one) for one in context["script_files"] if needed(one, body)]


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", shown_first, priority=999)  # after all that add some
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
