"""Sphinx extension of this book: what search engines, and places where a link is shared, are told of each page.

What needs the site's address is left out while `html.baseurl` in _config.yml is empty, and what needs the repository's
while `repository.url` is.
"""

import json
import re
from html import escape, unescape
from pathlib import Path

import yaml
from docutils import nodes

CITATION = Path(__file__).resolve().parents[2] / "CITATION.cff"
CARD = "social-card.png"  # written by ufm.book.social
LONGEST = 200  # characters of a description
LICENCE = "https://creativecommons.org/licenses/by/4.0/"  # of the text


def description(doctree):
    """The first paragraph of a page's text, cut after a word; "" where it has none."""
    for section in doctree.findall(nodes.section):
        for child in section.children:
            if isinstance(child, nodes.paragraph):
                words = " ".join(child.astext().split())
                return words if len(words) <= LONGEST else f"{words[:LONGEST].rpartition(' ')[0]} …"
    return ""


def metatags(title, about, site, page, address, is_root):
    """The meta elements of a page in HTML."""
    names = {"description": about}
    properties = {
        "og:type": "website" if is_root else "article",
        "og:site_name": site,
        "og:title": title,
        "og:description": about,
    }
    if address:
        properties |= {
            "og:url": f"{address}/{page}.html",
            "og:image": f"{address}/{CARD}",
            "og:image:width": "1200",
            "og:image:height": "630",
            "og:image:alt": "Training images of which one carries a letter, and the book's question",
        }
        names["twitter:card"] = "summary_large_image"
    return "".join(
        f'<meta {kind}="{name}" content="{escape(value)}" />\n'
        for kind, values in (("name", names), ("property", properties))
        for name, value in values.items()
        if value
    )


def article(citation, address, repository):
    """The book as schema.org knows articles, from CITATION.cff."""
    people = [
        {"@type": "Organization", "name": one["name"]}
        if "name" in one
        else {"@type": "Person", "givenName": one["given-names"], "familyName": one["family-names"]}
        for one in citation["authors"]
    ]
    known = {
        "@context": "https://schema.org",
        "@type": "ScholarlyArticle",
        "headline": citation["title"],
        "abstract": citation["abstract"],
        "author": people,
        "version": citation["version"],
        "keywords": citation["keywords"],
        "license": LICENCE,
        "inLanguage": "en-GB",
        "citation": [
            {
                "@type": "ScholarlyArticle",
                "name": one["title"],
                "url": one.get("url") or f"https://doi.org/{one['doi']}",
            }
            for one in citation["references"]
        ],
        "identifier": f"https://doi.org/{citation['doi']}" if "doi" in citation else None,
        "url": f"{address}/index.html" if address else None,
        "image": f"{address}/{CARD}" if address else None,
        "isBasedOn": repository or None,
    }
    known = {name: value for name, value in known.items() if value}
    content = json.dumps(known).replace("<", "\\u003c")  # which cannot end the element
    return f'<script type="application/ld+json">{content}</script>\n'


def add_metadata(app, pagename, templatename, context, doctree):
    """Put what is known of a page into its head."""
    if doctree is None:
        return
    address, is_root = app.config.html_baseurl.rstrip("/"), pagename == app.config.root_doc
    title, about = unescape(re.sub("<[^>]+>", "", context["title"])), description(doctree)
    more = metatags(title, about, app.config.html_title, pagename, address, is_root)
    if is_root:
        citation = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
        more += article(citation, address, app.config.html_theme_options.get("repository_url", ""))
    context["metatags"] = context.get("metatags", "") + more


def write_sitemap(app, exception):
    """List the pages for search engines, where the site has an address."""
    address = app.config.html_baseurl.rstrip("/")
    if exception or not address or app.builder.format != "html":
        return
    pages = "".join(f"<url><loc>{escape(address)}/{page}.html</loc></url>\n" for page in sorted(app.env.found_docs))
    (Path(app.outdir) / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{pages}</urlset>\n',
        encoding="utf-8",
    )
    (Path(app.outdir) / "robots.txt").write_text(
        f"User-agent: *\nAllow: /\nSitemap: {address}/sitemap.xml\n", encoding="utf-8"
    )


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", add_metadata)
    app.connect("build-finished", write_sitemap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
