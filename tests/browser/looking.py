"""The built site in a browser: from a server and from a file, on a screen and a phone, by day and by night."""

import shutil
from dataclasses import dataclass, field

import pytest

from ufm import paths

SITE = paths.BUILD / "html"
PAGES = sorted(path.name for path in SITE.glob("*.html"))
CHROMIUM = shutil.which("chromium")
# No profile, no update, and no host but this one.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def need_chromium():
    """Skip the module that asks for it where there is no browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium", allow_module_level=True)


@dataclass(frozen=True)
class View:
    """A way of meeting a page."""

    scheme: str  # http or file
    width: int  # pixels
    mode: str  # light or dark

    def __str__(self):
        return f"{self.scheme}, {self.width} px, {self.mode}"


SCREEN, NIGHT = View("http", 1400, "light"), View("http", 1400, "dark")
PHONE, PHONE_AT_NIGHT = View("http", 400, "light"), View("http", 400, "dark")
FILE = View("file", 1400, "light")
VIEWS = (SCREEN, NIGHT, PHONE, PHONE_AT_NIGHT, FILE)

UNFOLD = "() => document.querySelectorAll('main details').forEach(fold => fold.open = true)"
# What a page is like once all of it is there; `wide` and `opened` are pixels that stand out to the right, as it loads
# and with every fold open.
PROBE = """async () => {
  const shown = e => e.getClientRects().length > 0;
  const all = selector => [...document.querySelectorAll(selector)];
  const images = [...document.images];
  images.forEach(image => image.loading = 'eager');
  await Promise.all(images.filter(image => !image.complete).map(
    image => new Promise(done => image.onload = image.onerror = done)));
  await document.fonts.ready;
  if (window.MathJax?.startup) await MathJax.startup.promise;
  const out = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const found = {
    wide: out(),
    headings: all('h1, h2, h3, h4, h5, h6').filter(shown).map(h => [Number(h.tagName[1]), h.textContent.trim()]),
    broken: images.filter(image => !image.naturalWidth).map(image => image.src),
    pictures: all('img:not(.toggler), svg[role=img]:not([aria-hidden=true], [aria-labelledby])').map(
      e => [e.getAttribute('src') ?? 'svg', (e.getAttribute('alt') ?? e.getAttribute('aria-label') ?? '').trim()]),
    raw: all('.math').filter(e => !e.querySelector('mjx-container')).map(e => e.textContent.trim()),
    wrong: all('mjx-merror').map(e => e.textContent.trim()),
  };
  (UNFOLD)();
  found.opened = out();
  return found;
}""".replace("UNFOLD", UNFOLD)


@dataclass
class Visit:
    """A page in one view: its tab, what the browser complained of, what was asked for, and what PROBE found."""

    tab: object
    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    found: dict = field(default_factory=dict)


class Window:
    """A browser's tab for one view; pages are opened in it one after the other."""

    def __init__(self, browser, view, base):
        self.base = base
        context = browser.new_context(viewport={"width": view.width, "height": 900}, color_scheme=view.mode)
        self.visit = Visit(context.new_page())
        self.visit.tab.on("console", lambda said: said.type == "error" and self.visit.errors.append(said.text))
        self.visit.tab.on("pageerror", lambda error: self.visit.errors.append(str(error)))
        self.visit.tab.on("request", lambda request: self.visit.asked.append(request.url))
        self.visit.tab.on("requestfailed", lambda request: self.visit.failed.append(request.url))
        self.visit.tab.on("response", lambda one: one.status >= 400 and self.visit.failed.append(one.url))

    def open(self, page):
        """A visit to a page."""
        self.visit = Visit(self.visit.tab)
        self.visit.tab.goto(self.base + page, wait_until="load")
        self.visit.found = self.visit.tab.evaluate(PROBE)
        return self.visit


def lines(visits, what):
    """What `what` finds of each visit, a line each with its views."""
    found: dict[str, list[str]] = {}
    for view, visit in visits.items():
        for line in dict.fromkeys(what(visit)):
            found.setdefault(line, []).append(str(view))
    return [f"{line} ({'; '.join(views)})" for line, views in found.items()]
