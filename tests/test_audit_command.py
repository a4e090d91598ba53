"""An audit by command: of weights and of an endpoint, its report, its exit codes, and every bad input in one line."""

import json
import os
import re
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from ufm.auditing import models
from ufm.cli import app
from ufm.data import fetching
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


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in: a registry of 30 marks, 12 images, an architecture, weights that learnt the marks or not."""
    monkeypatch.chdir(tmp_path)
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
    return tmp_path


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


def test_marks_that_were_learnt_are_found_and_the_page_stands_alone(here):
    found = ufm()
    assert (found.exit_code, found.exception.__class__) == (3, SystemExit)
    assert "unless this is chance, the model was trained with them" in found.stdout
    assert found.stderr == "5603 queries\n"
    page = Page((here / "report" / "report.html").read_text(encoding="utf-8"))
    assert all(link.startswith("data:") for link in page.links)
    assert "script" not in page.tags
    assert "b" not in page.tags  # names of files are text
    planted = len(Registry.from_json((here / "registry.json").read_text(encoding="utf-8")).planted)
    assert page.tags.count("img") == planted
    told = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
    assert (told["schema"], told["mode"], told["found"], told["unknown"]["n"]) == (
        "ufm audit 1",
        "exact",
        True,
        planted,
    )
    assert told["p"] == told["known"]["p"] < 0.001
    for file in ("report.html", "report.json"):
        assert "0123456789abcdef" not in (here / "report" / file).read_text(encoding="utf-8")  # the secret


def test_an_innocent_model_is_not_found(here):
    found = ufm(**{"--weights": "innocent.pt"})
    assert found.exit_code == 0
    assert "may have been trained with them, or not" in found.stdout


def test_a_model_that_answers_one_class_is_not_auditable(here):
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, N_CLASSES))
    network[1].weight.data.zero_()
    torch.save(network.state_dict(), here / "zero.pt")
    found = ufm(**{"--weights": "zero.pt"})
    assert found.exit_code == 4
    assert "not auditable: predict: none of 430 marks moves the outputs" in found.stdout
    assert not (here / "report").exists()


def test_a_class_alone_is_audited(here):
    (here / "tops.py").write_text(TOP_1, encoding="utf-8")
    options = {"--torch": "tops:network", "--gives": "class", "--n-classes": 3}
    assert ufm(**options).exit_code == 3


def test_an_onnx_model_is_audited_like_the_network_that_it_was_exported_from(here):
    weights = torch.load(here / "guilty.pt", weights_only=True)
    made = helper.make_graph(
        [helper.make_node("Gemm", ["flat", "w", "b"], ["scores"], transB=1)],
        "linear",
        [helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["n", SIDE * SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", N_CLASSES])],
        [numpy_helper.from_array(weights[f"1.{name}"].numpy(), name[0]) for name in ("weight", "bias")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=8), here / "model.onnx")
    assert ufm().exit_code == 3
    of_torch = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
    assert ufm(**{"--torch": None, "--weights": None, "--onnx": "model.onnx"}).exit_code == 3
    of_onnx = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
    assert of_onnx["model"] == "model.onnx"
    assert of_onnx["p"] == of_torch["p"]
    assert of_onnx["known"]["z"] == pytest.approx(of_torch["known"]["z"], abs=1e-4)


# Broken off


class Counted:
    """A network's answers, until so many images were asked for."""

    def __init__(self, predict, after, error):
        self.predict, self.left, self.error, self.asked = predict, after, error, 0

    def __call__(self, batch):
        self.left -= len(batch)
        if self.left < 0:
            raise self.error
        self.asked += len(batch)
        return self.predict(batch)


@pytest.fixture
def counted(monkeypatch):
    """Lets the next audit's network break off after so many images, with an error; a list of that network."""
    of_torch = models.of_torch

    def set_up(after=10**9, error=None):
        made = []

        def wrapped(*arguments):
            made.append(Counted(of_torch(*arguments), after, error))
            return made[0]

        monkeypatch.setattr(models, "of_torch", wrapped)
        return made

    return set_up


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "broken off; what was answered is kept, and --resume goes on with it"),
        (ValueError("endpoint: gone"), 1, "endpoint: gone; what was answered is kept, and --resume goes on with it"),
        (SystemExit(143), 143, ""),
    ],
)
def test_what_was_answered_before_it_broke_off_is_not_asked_again(here, counted, error, code, said):
    whole = ufm()
    told = (here / "report" / "report.json").read_text(encoding="utf-8")
    counted(3_000, error)
    broken = ufm()
    assert broken.exit_code == code
    assert said in (broken.stderr if code == 130 else str(broken.exception))
    so_far = here / "report" / "so-far.npz"
    assert so_far.exists()
    again = counted()
    assert "an audit was broken off here; --resume goes on with it" in str(ufm().exception)
    again = counted()
    assert ufm("--resume").exit_code == whole.exit_code == 3
    assert again[0].asked < 5_603 - 2_900
    assert (here / "report" / "report.json").read_text(encoding="utf-8") == told
    assert not so_far.exists()


def test_resume_with_nothing_to_go_on_with_begins(here):
    assert ufm("--resume").exit_code == 3


@pytest.mark.parametrize(
    ("spoil", "options", "said"),
    [
        (lambda path: path.write_bytes(b"PK"), {}, "so-far.npz: is damaged; remove it and begin anew"),
        (lambda path: np.savez(path, of=np.array("[")), {}, "so-far.npz: is damaged"),
        (lambda path: np.savez(path, of=np.array("3")), {}, "so-far.npz: is damaged"),
        (lambda path: np.savez(path, of=np.array([{}], object)), {}, "so-far.npz: is damaged"),
        (lambda path: None, {"--n-images": 11}, "is of another audit, for images was"),
        (lambda path: None, {"--n-unused": 401}, "is of another audit, for n_unused was 400, not 401"),
        (lambda path: None, {"--weights": "innocent.pt"}, "is of another audit, for digest was"),
    ],
)
def test_what_is_of_another_audit_is_not_gone_on_with(here, counted, spoil, options, said):
    counted(3_000, KeyboardInterrupt())
    ufm()
    spoil(here / "report" / "so-far.npz")
    counted()
    found = ufm("--resume", **options)
    assert said in str(found.exception)
    assert not (here / "report" / "report.json").exists()


def test_an_endpoint_that_drops_half_way_is_gone_on_with_if_its_model_is_the_same(here):
    calls, more = [], [0.0]

    def failing(handler, what):
        calls.append(what)
        told = answered(handler, what)
        if what:
            told["outputs"][0]["data"][0] += more[0]
        return told if len(calls) != 30 else {}

    with server(answer=failing) as (url, _):
        options = REMOTE | {"--endpoint": url, "--batch-size": 50}
        assert "what was answered is kept" in str(ufm(**options).exception)
        more[0] = 1.0
        assert "answers otherwise than before the audit was broken off" in str(ufm("--resume", **options).exception)
        more[0] = 0.0
        before = len(calls)
        assert ufm("--resume", **options).exit_code in (0, 3)
    assert sum(what["inputs"][0]["shape"][0] for what in calls[before:] if what) < 5_603 - 1_000


# Endpoints


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


def test_an_endpoint_is_asked_what_it_takes_and_then_in_its_own_names(here, monkeypatch):
    monkeypatch.setenv(models.TOKEN, "s3cret")
    with server() as (url, seen):
        found = ufm(**REMOTE, **{"--endpoint": url, "--n-unused": 40, "--batch-size": 100})
    assert found.exit_code in (0, 3)
    assert {path for path, _, _ in seen} == {"/v2/models/scans", "/v2/models/scans/infer"}
    assert {token for _, token, _ in seen} == {"Bearer s3cret"}
    sent = [what["inputs"][0] for _, _, what in seen if what]
    assert {one["name"] for one in sent} == {"image"}
    assert max(one["shape"][0] for one in sent) <= 100
    assert sum(one["shape"][0] for one in sent) == (1 + 30 + 40) * 13
    assert "s3cret" not in (here / "report" / "report.html").read_text(encoding="utf-8")


def test_an_output_may_be_named():
    with server() as (url, _):
        images = torch.rand(2, 1, SIDE, SIDE)
        np.testing.assert_allclose(
            models.Endpoint(url, "scans", output="scores")(images), linear(images.numpy()), rtol=1e-6
        )
        with pytest.raises(ValueError, match="without an output called gone that can be read"):
            models.Endpoint(url, "scans", output="gone")(images)


def takes(**changes):
    return lambda handler, what: {"inputs": [{"name": "image", "datatype": "FP32"} | changes]}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"status": 404}, "answered 404 for scans"),
        ({"status": 500}, "answered 500 for scans"),
        ({"status": 302}, "answered 302 for scans"),
        ({"raw": b"no json"}, "answered with what is no JSON"),
        ({"raw": b"[" * 100_000}, "answered with what is no JSON"),
        ({"raw": b"broken off"}, "its answer breaks off or is no HTTP"),
        ({"raw": b"{}"}, "answered without an output that can be read"),
        (
            {"raw": b'{"outputs": [{"name": "a", "data": [1, 2], "shape": [3, 1]}]}'},
            "without an output that can be read",
        ),
        ({"raw": b'{"outputs": [{"name": "a", "data": ["x"], "shape": [1]}]}'}, "without an output that can be read"),
        (
            {"raw": b'{"outputs": [{"name": "a", "data": [1], "shape": [1, 1]}]}'},
            "gave outputs of shape (1, 1) for 12 images",
        ),
        ({"answer": takes(datatype="FP16")}, "takes FP16, and only FP32 can be sent"),
        ({"answer": lambda handler, what: {"inputs": []}}, "takes no one input but none that is named: name it"),
        ({"answer": lambda handler, what: []}, "does not say what it takes"),
    ],
)
def test_an_endpoint_that_fails_is_one_line(here, settings, said):
    with server(**settings) as (url, _):
        found = ufm(**REMOTE, **{"--endpoint": url})
    assert isinstance(found.exception, ValueError)
    assert said in str(found.exception)
    assert "\n" not in str(found.exception)
    assert not (here / "report").exists()


def test_an_endpoint_that_is_silent_or_not_there_is_one_line(here, monkeypatch):
    from threading import Event

    over = Event()
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    with server(answer=lambda handler, what: over.wait(10)) as (url, _):
        found = ufm(**REMOTE, **{"--endpoint": url})
        over.set()
    assert "nothing came for 0.2 s" in str(found.exception)
    assert "refused" in str(ufm(**REMOTE, **{"--endpoint": url}).exception)


# Bad input


def spoilt(here, name, content):
    path = here / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"--registry": "gone.json"}, "gone.json"),
        ({"--registry": "images"}, "images"),
        ({"--registry": "images/00.png"}, "is no registry of marks, for it is no text"),
        ({"--images": "gone"}, "images: gone is no folder"),
        ({"--images": "empty"}, "images: empty holds no files"),
        ({"--images": "mixed"}, "images: mixed/b.png is of 9 x 8 pixels in grey, a.png of 8 x 8 pixels in grey"),
        ({"--images": "texts"}, "images: texts/a.txt is no image that can be read"),
        ({"--images": "deep"}, "images: deep/a.png has greys of 16 bits; save it in 8"),
        ({"--images": "small"}, "torch: mine:network gives nothing for images of 1 x 7 x 7: mat1 and mat2"),
        ({"--n-images": 0}, "n_images: must be at least 1, not 0"),
        ({"--gives": "scores"}, "gives: 'scores' is not one of probabilities, logits"),
        ({"--gives": "probabilities"}, "predict: gave what are no probabilities; are they logits?"),
        ({"--n-unused": 10}, "n_unused: 10 cannot give a p-value of 0.05; it takes 19"),
        ({"--weights": None}, "model: name --onnx, or --torch and --weights, or --endpoint and --model"),
        ({"--model": "scans"}, "model: name --onnx, or --torch"),
        ({"--endpoint": "http://127.0.0.1:9"}, "model: name --onnx, or --torch"),
        ({"--torch": "mine"}, "torch: 'mine' is not of the form module:function"),
        ({"--torch": "nowhere:network"}, "torch: nowhere:network is not there"),
        ({"--torch": "mine:gone"}, "torch: mine:gone is not there"),
        ({"--torch": "mine:number"}, "torch: mine:number gives no network but int"),
        ({"--weights": "gone.pt"}, "weights: gone.pt holds none of this network"),
        ({"--weights": "images/00.png"}, "weights: images/00.png holds none of this network"),
        ({"--weights": "other.pt"}, "weights: other.pt holds none of this network"),
        ({"--weights": "pickle.pt"}, "weights: pickle.pt holds none of this network"),
        (REMOTE | {"--endpoint": "ftp://127.0.0.1"}, "is no address that begins with http:// or https://"),
        (REMOTE | {"--endpoint": "file:///etc/passwd"}, "is no address that begins with http:// or https://"),
        (REMOTE | {"--endpoint": "http://"}, "is no address that begins with http:// or https://"),
        (REMOTE | {"--endpoint": "http://127.0.0.1:1"}, "refused"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_kept(here, options, said):
    (here / "empty").mkdir()
    spoilt(here, "texts/a.txt", b"text")
    for name, shape, dtype in (
        ("mixed/a", (8, 8), "u1"),
        ("mixed/b", (9, 8), "u1"),
        ("small/a", (7, 7), "u1"),
        ("deep/a", (8, 8), "u2"),
    ):
        (here / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full(shape, 4096 if dtype == "u2" else 9, dtype)).save(here / f"{name}.png")
    torch.save(nn.Linear(2, 2).state_dict(), here / "other.pt")
    torch.save({"weights": os.system}, here / "pickle.pt")
    found = ufm(**options)
    assert isinstance(found.exception, ValueError | OSError)
    assert said in str(found.exception)
    assert not re.search(r"\n", str(found.exception))
    assert not (here / "report").exists()
