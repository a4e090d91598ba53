"""Sphinx extension of this book: the first time that a word of the glossary stands on a page it shows its meaning."""

import re

from docutils import nodes

GLOSSARY = "glossary"  # the page
# Where a word is not marked: what is a name, code, a formula, a link or the title of another work.
LEFT = (
    nodes.title,
    nodes.literal,
    nodes.literal_block,
    nodes.reference,
    nodes.math,
    nodes.term,
    nodes.citation,
    nodes.raw,
)


class explained(nodes.inline):
    """A word with its meaning."""


def meanings(doctree):
    """What each term of the glossary means, the longest terms first."""
    found = {}
    for item in doctree.findall(nodes.definition_list_item):
        meaning = next(item.findall(nodes.definition)).astext()
        found |= {term.astext(): " ".join(meaning.split()) for term in item.findall(nodes.term)}
    return dict(sorted(found.items(), key=lambda one: -len(one[0])))


def pattern(terms):
    """Any of the terms as a word, also in the plural."""
    words = [re.escape(term[:-1]) + "(?:y|ies)" if term.endswith("y") else re.escape(term) + "s?" for term in terms]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(words)})(?![\w′-])", re.IGNORECASE)


def term_of(word, terms):
    """The term that a word of the text is."""
    return next(term for term in terms if pattern([term]).fullmatch(word))


def mark(doctree, terms):
    """Mark the first time that each term stands in the text of a page, or where it does not, in that of a caption."""
    left, any_term = dict(terms), pattern(terms)
    texts = [(text, ancestors(text)) for text in doctree.findall(nodes.Text)]
    texts = [(text, above) for text, above in texts if not any(isinstance(one, LEFT) for one in above)]
    for place in (nodes.paragraph, nodes.caption):
        for text, above in texts:
            if not any(isinstance(one, place) for one in above):
                continue
            parts, end, written = [], 0, text.astext()
            for match in any_term.finditer(written):
                term = term_of(match[0], terms)
                if term in left:
                    word = explained("", match[0], meaning=left.pop(term))
                    parts += [nodes.Text(written[end : match.start()]), word]
                    end = match.end()
            if parts:
                text.parent.replace(text, [*parts, nodes.Text(written[end:])])


def ancestors(node):
    """The nodes in which a node lies."""
    found = []
    while (node := node.parent) is not None:
        found.append(node)
    return found


def mark_page(app, doctree, docname):
    """Mark a page's words, but those of the glossary itself."""
    if GLOSSARY in app.env.all_docs and docname != GLOSSARY:
        mark(doctree, meanings(app.env.get_doctree(GLOSSARY)))


def visit(self, node):
    """Open the element, which can be reached by keyboard and touch."""
    attributes = {"tabindex": "0", "aria-label": f"{node.astext()}: {node['meaning']}", "data-meaning": node["meaning"]}
    self.body.append(self.starttag(node, "span", "", CLASS="explained", **attributes))


def setup(app):
    """Called by Sphinx."""
    app.add_node(explained, html=(visit, lambda self, node: self.body.append("</span>")))
    app.connect("doctree-resolved", mark_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
