"""The site that was built last as one PDF file: its pages one behind the other, printed by Chromium.

What lies in a folder of the site, the reference of each room of the library, is for looking up and is left out.
"""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import yaml

from ufm import paths
from ufm.files import locked, scratch, write

SITE = paths.BUILD / "html"
PDF = paths.BUILD / "book.pdf"
SECONDS = 600  # after which Chromium will not answer any more; a busy machine needs two minutes
FLAGS = (
    "--headless",
    "--no-sandbox",  # which a container's root cannot have; all that is opened is the book's own
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=60000",  # milliseconds that scripts believe to have: formulas are set by then
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)
# A table that is wider than the page is made smaller, which a style sheet cannot know.
FIT = """for (const one of document.querySelectorAll('table')) {
  const room = one.parentElement.clientWidth;
  if (one.offsetWidth > room) one.style.zoom = room / one.offsetWidth;
}"""


def pdf() -> Path:
    """Print the site; the path of the file. Raises ValueError where there is no site or no Chromium."""
    if not (paths.of_project(SITE) / "index.html").exists():
        raise ValueError(f"no book in {SITE}: run `make book` first")
    chromium = shutil.which("chromium")
    if chromium is None:
        raise ValueError("no Chromium, which prints the book: apt-get install chromium")
    with locked(paths.BUILD, shared=True, tell=True), scratch() as folder:
        page, printed = folder / "book.html", folder / "book.pdf"
        page.write_text(document(SITE), encoding="utf-8")
        command = [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={printed}"]
        try:
            done = subprocess.run([*command, page.as_uri()], check=False, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise ValueError(f"Chromium did not print the book within {SECONDS} s") from None
        if not printed.exists():
            raise ValueError(f"Chromium printed nothing: {done.stderr.decode(errors='replace').strip()[-300:]}")
        write(PDF, printed.read_bytes())
    return PDF


def document(site: Path) -> str:
    """All pages of a site as one in HTML: title, contents, and the pages in the order of its sidebar."""
    static = rf'\1="{site.as_uri()}/_static/'

    def read(page: str) -> str:
        """A page that finds its style from anywhere."""
        return re.sub(r'(href|src)="_static/', static, (site / page).read_text(encoding="utf-8"))

    order = contents(read("index.html"))
    pages = [page for _, listed in order for page in listed]
    texts = {page: read(page) for page in pages}
    head = "".join(
        dict.fromkeys(
            part
            for text in texts.values()
            for part in re.findall(r'<link [^>]*rel="stylesheet"[^>]*>|<script>window.MathJax.*?</script>', text)
            + re.findall(r'<script [^>]*src="[^"]*mathjax[^"]*"[^>]*></script>', text)
        )
    )
    articles = "".join(
        f'<article class="bd-article" id="{label(page)}">{article(page, text, pages)}</article>'
        for page, text in texts.items()
    )
    body = title_page(texts["index.html"]) + listing(order) + articles
    return (
        '<!DOCTYPE html><html lang="en-GB" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f'<title>{escape(cited()["title"])}</title>{head}</head><body class="printed">{body}'
        f"<script>addEventListener('load', () => {{ {FIT} }})</script></body></html>"
    )


def contents(index: str) -> list[tuple[str, dict[str, str]]]:
    """The parts of the book, of which the first has no name, each with the titles of its pages by their file."""
    sidebar = re.search(r'<nav class="bd-links.*?</nav>', index, flags=re.DOTALL)
    parts: list[tuple[str, dict[str, str]]] = [("", {})]
    for part, page, title in re.findall(
        r'class="caption-text">(.*?)</span>|<a class="reference internal" href="([^"/]*)">\s*(.*?)\s*</a>',
        sidebar[0] if sidebar else "",
        flags=re.DOTALL,
    ):
        if part:
            parts.append((part, {}))
        else:
            parts[-1][1]["index.html" if page == "#" else page] = title
    return parts


def cited() -> dict:
    """What CITATION.cff says."""
    return yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def title_page(index: str) -> str:
    """Title, authors, and of the book's own provenance what its first page shows of it."""
    known = cited()
    title, _, subtitle = known["title"].partition(": ")
    authors = [one.get("name") or f"{one['given-names']} {one['family-names']}" for one in known["authors"]]
    made = re.search(r'class="provenance.*?>(Profile: .*?)<', index, flags=re.DOTALL)
    note = re.search(r'<div class="rehearsal.*?</div>', index, flags=re.DOTALL)
    return (
        f'<header class="title-page"><p class="title">{escape(title)}</p><p class="subtitle">{escape(subtitle)}</p>'
        f"<p>{escape(', '.join(authors))}</p><p>Version {known['version']}</p><p>{made[1] if made else ''}</p>"
        f"{note[0] if note else ''}</header>"
    )


def listing(order: list[tuple[str, dict[str, str]]]) -> str:
    """The contents with links."""
    lines = []
    for part, listed in order:
        lines.append(f"<p>{part}</p>" if part else "")
        links = (f'<li><a href="#{label(page)}">{title}</a></li>' for page, title in listed.items())
        lines.append(f"<ul>{''.join(links)}</ul>")
    return f'<section class="contents"><h1>Contents</h1>{"".join(lines)}</section>'


def label(page: str) -> str:
    """The id of a page in the whole, with which the ids of its parts begin: two pages may have sections of one name."""
    return page.removesuffix(".html")


def article(page: str, text: str, pages: list[str]) -> str:
    """A page's text without what only a screen has; links to other pages of the whole lead there, others nowhere."""
    found = re.search(r'<article class="bd-article">(.*?)</article>', text, flags=re.DOTALL)
    body = re.sub(r"<(script|style)\b.*?</\1>", "", found[1] if found else "", flags=re.DOTALL)
    body = re.sub(r'<a class="headerlink".*?</a>', "", body, flags=re.DOTALL)
    body = re.sub(r'(\sid="|url\(#)', rf"\g<1>{label(page)}--", body)

    def lead(match: re.Match) -> str:
        """A link within the whole, to another site or to what it holds itself, or none."""
        target, _, place = match[1].partition("#")
        if "://" in target or target.startswith("data:"):
            return match[0]
        there = target or page
        if there not in pages:
            return ""
        return f' href="#{label(there)}{f"--{place}" if place else ""}"'

    return re.sub(r'\shref="([^"]*)"', lead, body)
