"""A server for the built site and a browser that opens its pages; without one, tests that need it are skipped."""

import functools
import http.server
import re
import threading

import looking
import pytest
from playwright.sync_api import sync_playwright
from xdist.scheduler import LoadScopeScheduling

if not looking.PAGES:
    raise pytest.UsageError(f"no site in {looking.SITE}: run `make book` first")


class ByPage(LoadScopeScheduling):
    """All tests of a page are one worker's, which opens it once."""

    def _split_scope(self, nodeid):
        page = re.search(r"\[(.+?\.html)", nodeid)
        return page[1] if page else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The scheduler of workers."""
    return ByPage(config, log)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing on the terminal."""

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture(scope="session")
def server():
    """The address of the site, served by this process."""
    handler = functools.partial(Quiet, directory=looking.SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{one.server_port}/"
        one.shutdown()


@pytest.fixture(scope="session")
def chromium():
    """Debian's browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=looking.CHROMIUM, args=looking.FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def windows(chromium, server):
    """A tab for each view."""
    bases = {"http": server, "file": f"{looking.SITE.as_uri()}/"}
    return {view: looking.Window(chromium, view, bases[view.scheme]) for view in looking.VIEWS}


@pytest.fixture(scope="module", params=looking.PAGES)
def visits(request, windows):
    """A page in each view."""
    return {view: window.open(request.param) for view, window in windows.items()}
