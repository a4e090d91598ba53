"""What is audited in tests by command: a folder of models, marks and images, and a server that answers."""

import json
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from ufm.cli import app
from ufm.marks import Planted, Registry

N_CLASSES, SIDE = 3, 8
ARCHITECTURE = f"""
from torch import nn

def network():
    return nn.Sequential(nn.Flatten(), nn.Linear({SIDE * SIDE}, {N_CLASSES}))

def number():
    return 3
"""

# A network that tells nothing but the class.
TOP_1 = f"""
import torch
from torch import nn

class Top(nn.Sequential):
    def forward(self, images):
        return super().forward(images).argmax(1)

def network():
    return Top(nn.Flatten(), nn.Linear({SIDE * SIDE}, {N_CLASSES}))
"""


def fill(tmp_path):
    """A folder to work in: a registry of 30 marks, 12 images, an architecture, weights that learnt the marks or not."""
    (tmp_path / "mine.py").write_text(ARCHITECTURE, encoding="utf-8")
    registry, rng = Registry("0123456789abcdef" * 4, 30), np.random.default_rng(0)
    for mark in np.flatnonzero(registry.to_plant()).tolist():
        registry = registry.with_planted(Planted(mark, f"<b>{mark}</b>.png", mark % N_CLASSES))
    (tmp_path / "registry.json").write_text(registry.to_json(), encoding="utf-8")
    (tmp_path / "images").mkdir()
    for number in range(12):
        pixels = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number:02d}.png")
    for name, strength in (("innocent", 0), ("guilty", 4)):
        weights = rng.normal(size=(N_CLASSES, SIDE, SIDE))
        for one in registry.planted:
            weights[one.label, 1:6, 1:6] += strength * (registry.marks()[one.mark, 0] - 12 / 25)
        network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, N_CLASSES))
        network[1].weight.data = torch.tensor(weights.reshape(N_CLASSES, -1) / 8, dtype=torch.float32)
        torch.save(network.state_dict(), tmp_path / f"{name}.pt")


def ufm(*arguments, **options):
    given = {"--registry": "registry.json", "--images": "images", "--out": "report", "--gives": "logits"}
    given |= {"--torch": "mine:network", "--weights": "guilty.pt"} | options
    flat = [str(part) for pair in given.items() if pair[1] is not None for part in pair]
    return CliRunner().invoke(app, ["audit", *arguments, *flat])


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data)


def linear(images):
    """Outputs (n, 3) of the innocent weights' kind of model."""
    return images.reshape(len(images), -1)[:, : 3 * 21].reshape(len(images), 3, 21).sum(2) / 8


def answered(handler, what):
    """What an honest server answers to a path, as JSON."""
    if what is None:
        return {"name": "scans", "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, SIDE, SIDE]}]}
    given = what["inputs"][0]
    outputs = linear(np.array(given["data"]).reshape(given["shape"]))
    first = {"name": "other", "datatype": "FP32", "shape": [1], "data": [0.0]}
    second = {"name": "scores", "datatype": "FP32", "shape": list(outputs.shape), "data": outputs.ravel().tolist()}
    return {"outputs": [second, first]}


@contextmanager
def server(answer=answered, status=200, raw=None):
    """The address of a server of the protocol on this machine, and what it was sent."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(None)

        def do_POST(self):
            self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def reply(self, what):
            seen.append((self.path, self.headers.get("Authorization"), what))
            content = json.dumps(answer(self, what)).encode() if raw is None or what is None else raw
            self.send_response(status if what is not None or status == 404 else 200)
            self.send_header("Content-Length", str(len(content) + 10 * (raw == b"broken off")))
            self.send_header("Location", f"http://{self.headers['Host']}/v2/models/scans")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", seen
    finally:
        listening.shutdown()
        listening.server_close()


REMOTE = {"--torch": None, "--weights": None, "--model": "scans"}
