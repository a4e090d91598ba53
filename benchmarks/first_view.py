"""How long a reader waits for the first view of each page of the built book.

Pages come from a server on this machine, each three times with an empty cache; printed is the median time of the first
contentful paint, in Chromium as Debian packages it.

    make book PROFILE=paper
    .venv/bin/python benchmarks/first_view.py
"""

import functools
import http.server
import shutil
import statistics
import sys
import threading

from playwright.sync_api import sync_playwright

from ufm import paths

SITE = paths.BUILD / "html"
PAINTED = """() => new Promise(done => new PerformanceObserver(list => {
  const [entry] = list.getEntriesByName('first-contentful-paint');
  if (entry) done(entry.startTime);
}).observe({type: 'paint', buffered: true}))"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing on the terminal."""

    def log_message(self, *_) -> None:
        """Nothing."""


def main() -> None:
    pages = sorted(path.name for path in SITE.glob("*.html"))
    chromium = shutil.which("chromium")
    if not pages or chromium is None:
        sys.exit("first_view.py: needs a built book (make book) and Chromium (apt-get install chromium)")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("| page | first view, s | HTML, kB |\n|---|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for page in pages:
            seconds = []
            for _ in range(3):
                tab = browser.new_page()  # has a cache of its own
                tab.goto(f"http://127.0.0.1:{server.server_port}/{page}")
                seconds.append(tab.evaluate(PAINTED) / 1000)
                tab.close()
            size = (SITE / page).stat().st_size / 1000
            print(f"| {page} | {statistics.median(seconds):.2f} | {size:.0f} |", flush=True)
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
