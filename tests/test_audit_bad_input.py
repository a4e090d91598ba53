"""Bad input to an audit: one line on standard error, exit code 2, no traceback, and no report."""

import json
import os

import numpy as np
import pytest
import torch
from audited import N_CLASSES, REMOTE, SIDE, answered, server
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from PIL import Image
from torch import nn

from ufm import cli
from ufm.marks import Planted, Registry
from ufm.marks.registry import digest

GIVEN = {"--registry": "registry.json", "--images": "images", "--out": "report", "--gives": "logits"}
GIVEN |= {"--torch": "mine:network", "--weights": "guilty.pt"}
LOCAL = {"--torch": None, "--weights": None}
ONNX = LOCAL | {"--onnx": "model.onnx"}
FEATURE = {"--registry": None, "--feature": "A"}
ADDRESS = "is no address that begins with http:// or https://"
NETWORKS = """
import torch
from torch import nn

def answers(what):
    class Answers(nn.Module):
        def forward(self, images):
            return what(images)
    return Answers

nan = answers(lambda images: torch.full((len(images), 3), torch.nan))
infinite = answers(lambda images: torch.full((len(images), 3), torch.inf))
one = answers(lambda images: images.mean((1, 2, 3))[:, None])
flat = answers(lambda images: images.mean((1, 2, 3)))
cube = answers(lambda images: images)
fewer = answers(lambda images: images[1:, 0, 0, :3])
halves = answers(lambda images: torch.full((len(images), 3), 0.5))
negative = answers(lambda images: torch.tensor([[-1.0, 1, 1]]).repeat(len(images), 1))
nothing = answers(lambda images: None)
"""


def network(name, **options):
    return {"--torch": f"bad:{name}", "--weights": "none.pt"} | options


AUDITS = [
    ({"--registry": "gone.json"}, "gone.json"),
    ({"--registry": "images"}, "images"),
    ({"--registry": "images/00.png"}, "is no registry of marks, for it is no text"),
    ({"--registry": "edited.json"}, "edited.json: was changed since it was written"),
    ({"--registry": "half.json"}, "half.json: is no whole registry of marks"),
    ({"--registry": "foreign.json"}, "foreign.json: is no registry of marks: its schema is not 'ufm marks 2'"),
    ({"--registry": "resealed.json"}, "resealed.json: has another seal than its secret and settings give"),
    ({"--registry": "twice.json"}, "was given to <b>0</b>.png already: a mark is unique"),
    ({"--registry": "kept-back.json"}, "kept-back.json: mark: the coin keeps mark"),
    ({"--registry": "not-kept.json"}, "not-kept.json: keeps a mark back that the coin plants"),
    ({"--registry": "both.json"}, "was given to <b>0</b>.png already: a mark is unique"),
    ({"--registry": "former.json"}, "former.json: is no whole registry of marks"),
    ({"--registry": "unplanted.json"}, "registry: no mark was planted, so there is nothing to look for"),
    ({"--registry": "label.json"}, "label: 3, of a.png, is none of the model's 3 classes, from 0"),
    ({"--registry": "outside.json"}, "feature would cover rows 5 to 9 and columns 1 to 5 of an image of 8 x 8 pixels"),
    ({"--registry": None}, "registry: name one with --registry, or in its place a mark with --feature"),
    ({"--images": "gone"}, "images: gone is no folder"),
    ({"--images": "registry.json"}, "images: registry.json is no folder"),
    ({"--images": "empty"}, "images: empty holds no files"),
    ({"--images": "mixed"}, "images: mixed/b.png is of 9 x 8 pixels in grey, a.png of 8 x 8 pixels in grey"),
    ({"--images": "coloured"}, "images: coloured/b.png is of 8 x 8 pixels in colour, a.png of 8 x 8 pixels in grey"),
    ({"--images": "texts"}, "images: texts/a.txt is no image that can be read"),
    ({"--images": "halves"}, "images: halves/a.png is no image that can be read"),
    ({"--images": "deep"}, "images: deep/a.png has greys of 16 bits; save it in 8"),
    ({"--images": "scans"}, "images: scans/a.dcm is no DICOM file that can be read"),
    ({"--images": "small"}, "torch: mine:network gives nothing for images of 1 x 7 x 7: mat1 and mat2"),
    ({"--images": "tiny"}, "feature would cover rows 1 to 5 and columns 1 to 5 of an image of 4 x 4 pixels"),
    ({"--n-images": 0}, "n_images: must be at least 1, not 0"),
    ({"--batch-size": 0}, "batch_size: must be at least 1, not 0"),
    ({"--level": 0}, "level: must lie between 0 and 1, not 0"),
    ({"--delta": 1}, "delta: must lie between 0 and 1, not 1"),
    ({"--delta": 0}, "delta: must lie between 0 and 1, not 0"),
    ({"--delta": "nan"}, "delta: must lie between 0 and 1, not nan"),
    ({"--level": "nan"}, "level: must lie between 0 and 1, not nan"),
    ({"--level": 0.001}, "n_unused: 400 cannot give a p-value of 0.001; it takes 999"),
    ({"--n-unused": 30, "--stop-early": ""}, "n_unused: 30 cannot give a p-value of 0.05; it takes 39"),
    ({"--n-unused": 10}, "n_unused: 10 cannot give a p-value of 0.05; it takes 19"),
    ({"--gives": "scores"}, "gives: 'scores' is not one of probabilities, logits, class"),
    ({"--gives": "class"}, "n_classes: of a class alone it must be said of how many, two or more"),
    ({"--gives": "class", "--n-classes": 1}, "n_classes: of a class alone it must be said of how many, two or more"),
    ({"--gives": "class", "--n-classes": 3}, "predict: gave more than a class; are they probabilities or logits?"),
    ({"--gives": "class", "--n-classes": 4}, "predict: gave what is no class of 4, a whole number from 0"),
    ({"--gives": "probabilities"}, "predict: gave what are no probabilities; are they logits?"),
    ({"--out": "registry.json"}, "out: registry.json is no folder"),
    ({"--out": "begun"}, "begun/so-far.npz: an audit was broken off here; --resume goes on with it, or name another"),
    (LOCAL, "model: name --onnx, or --torch and --weights, or --endpoint and --model"),
    ({"--weights": None}, "model: name --onnx, or --torch and --weights, or --endpoint and --model"),
    ({"--model": "scans"}, "model: name --onnx, or"),
    ({"--endpoint": "http://127.0.0.1:9"}, "model: name --onnx, or"),
    ({"--onnx": "model.onnx"}, "model: name --onnx, or"),
    ({"--input": "image"}, "input, output and constant: a network of PyTorch has none to name"),
    ({"--torch": "mine"}, "torch: 'mine' is not of the form module:function"),
    ({"--torch": "nowhere:network"}, "torch: nowhere:network is not there"),
    ({"--torch": "mine:gone"}, "torch: mine:gone is not there"),
    ({"--torch": "mine:number"}, "torch: mine:number gives no network but int"),
    ({"--weights": "gone.pt"}, "weights: gone.pt holds none of this network"),
    ({"--weights": "images/00.png"}, "weights: images/00.png holds none of this network"),
    ({"--weights": "other.pt"}, "weights: other.pt holds none of this network"),
    ({"--weights": "pickle.pt"}, "weights: pickle.pt holds none of this network"),
    (network("nan"), "predict: gave NaN or infinite values"),
    (network("infinite"), "predict: gave NaN or infinite values"),
    (network("one"), "predict: gave one output an image; there must be one for each of two classes or more"),
    (network("flat"), "predict: gave outputs of shape (12,) for 12 images"),
    (network("cube"), "predict: gave outputs of shape (12, 1, 8, 8) for 12 images"),
    (network("fewer"), "predict: gave outputs of shape (11, 3) for 12 images"),
    (network("halves", **{"--gives": "probabilities"}), "predict: gave what are no probabilities"),
    (network("negative", **{"--gives": "probabilities"}), "predict: gave what are no probabilities"),
    (network("nothing"), "torch: bad:nothing gives nothing for images of 1 x 8 x 8"),
    (LOCAL | {"--onnx": "gone.onnx"}, "onnx: gone.onnx is no regular file"),
    (LOCAL | {"--onnx": "images/00.png"}, "onnx: images/00.png is no ONNX model"),
    (LOCAL | {"--onnx": "outside.onnx"}, "keeps weights in '../w', outside its own folder; that is not read"),
    (LOCAL | {"--onnx": "half.onnx"}, "onnx: half.onnx takes tensor(float16), and only float32 can be sent"),
    (ONNX | {"--images": "small"}, "onnx: model.onnx takes (n, 1, 8, 8), not images of 1 x 7 x 7"),
    (ONNX | {"--input": "gone"}, "onnx: model.onnx has no input 'gone', it has image"),
    (ONNX | {"--output": "gone"}, "onnx: model.onnx has no output 'gone', it has scores"),
    (ONNX | {"--constant": "gone=1"}, "onnx: model.onnx has no input 'gone', it has image"),
    (ONNX | {"--constant": "gone"}, "constant: 'gone' is not of the form name=1"),
    (ONNX | {"--constant": "image=one"}, "constant: 'image=one' is not of the form name=1"),
    ({"--feature": "A"}, "registry: name one with --registry, or in its place a mark with --feature"),
    ({"--label": 1}, "position, label, innocent: are of --feature"),
    ({"--position": "1,1"}, "position, label, innocent: are of --feature"),
    ({"--innocent": "innocent.pt"}, "position, label, innocent: are of --feature"),
    (FEATURE | {"--feature": "a"}, "feature: 'a' is no letter A to Z"),
    (FEATURE | {"--feature": "gone.png"}, "feature: there is no file gone.png"),
    (FEATURE | {"--feature": "clear.png"}, "feature: "),
    (FEATURE | {"--feature": "JOHN DOE"}, "feature would cover rows"),
    (FEATURE | {"--stop-early": ""}, "stop_early: is of --registry; a feature has no unused marks"),
    (FEATURE | {"--position": "5,1"}, "feature would cover rows 5 to 9"),
    (FEATURE | {"--position": "1;1"}, "position: '1;1' is not of the form 5,5"),
    (FEATURE | {"--label": 3}, "label: 3 is none of the model's 3 classes, from 0"),
    (FEATURE | {"--innocent": "gone.pt"}, "weights: gone.pt holds none of this network"),
    (FEATURE | {"--innocent": "other.pt"}, "weights: other.pt holds none of this network"),
    (REMOTE | {"--endpoint": "ftp://127.0.0.1"}, ADDRESS),
    (REMOTE | {"--endpoint": "file:///etc/passwd"}, ADDRESS),
    (REMOTE | {"--endpoint": "http://"}, ADDRESS),
    (REMOTE | {"--endpoint": "http://127.0.0.1:1"}, "refused"),
]


def takes(**changes):
    return lambda handler, what: {"inputs": [{"name": "image", "datatype": "FP32"} | changes]}


def several(handler, what):
    return {"inputs": [{"name": name, "datatype": "FP32"} for name in ("image", "mask")]}


def dropping(after):
    """Answers so many questions, and no more."""
    calls = []

    def answer(handler, what):
        calls.append(what)
        return answered(handler, what) if len(calls) <= after else {}

    return answer


UNREADABLE = "answered without an output that can be read"
ENDPOINTS = [
    ({"status": 404}, "answered 404 for scans"),
    ({"status": 500}, "answered 500 for scans"),
    ({"status": 302}, "answered 302 for scans"),
    ({"raw": b"no json"}, "answered with what is no JSON"),
    ({"raw": b"\xff\xfe"}, "answered with what is no JSON"),
    ({"raw": b"[" * 100_000}, "answered with what is no JSON"),
    ({"raw": b"broken off"}, "its answer breaks off or is no HTTP"),
    ({"raw": b"{}"}, UNREADABLE),
    ({"raw": b"[]"}, UNREADABLE),
    ({"raw": b'{"outputs": []}'}, UNREADABLE),
    ({"raw": b'{"outputs": [{"name": "a", "data": [1, 2], "shape": [3, 1]}]}'}, UNREADABLE),
    ({"raw": b'{"outputs": [{"name": "a", "data": ["x"], "shape": [1]}]}'}, UNREADABLE),
    ({"raw": b'{"outputs": [{"name": "a", "data": [1], "shape": [1, 1]}]}'}, "gave outputs of shape (1, 1) for 12"),
    (
        {"raw": json.dumps({"outputs": [{"name": "a", "data": [float("nan")] * 36, "shape": [12, 3]}]}).encode()},
        "predict: gave NaN or infinite values",
    ),
    ({"answer": takes(datatype="FP16")}, "takes FP16, and only FP32 can be sent"),
    ({"answer": takes(datatype="BYTES")}, "takes BYTES, and only FP32 can be sent"),
    ({"answer": several}, "says that it takes no one input but image, mask"),
    ({"answer": lambda handler, what: {"inputs": []}}, "takes no one input but none that is named: name it"),
    ({"answer": lambda handler, what: {"inputs": "image"}}, "does not say what it takes"),
    ({"answer": lambda handler, what: []}, "does not say what it takes"),
    ({"answer": dropping(20)}, f"{UNREADABLE}; what was answered is kept, and --resume goes on with it"),
]


def spoil(here):
    """What is bad, beside what is good."""
    for name in ("empty", "texts", "mixed", "coloured", "halves", "deep", "scans", "small", "tiny", "begun"):
        (here / name).mkdir()
    (here / "texts" / "a.txt").write_text("text", encoding="utf-8")
    shapes = {"mixed/a": (8, 8), "mixed/b": (9, 8), "coloured/a": (8, 8), "coloured/b": (8, 8, 3), "small/a": (7, 7)}
    for name, shape in (shapes | {"tiny/a": (4, 4)}).items():
        Image.fromarray(np.full(shape, 9, np.uint8)).save(here / f"{name}.png")
    Image.fromarray(np.full((8, 8), 4096, np.uint16)).save(here / "deep" / "a.png")
    Image.new("LA", (5, 5)).save(here / "clear.png")
    (here / "scans" / "a.dcm").write_bytes(b"text")
    (here / "halves" / "a.png").write_bytes((here / "images" / "00.png").read_bytes()[:60])
    (here / "begun" / "so-far.npz").write_bytes(b"")
    (here / "bad.py").write_text(NETWORKS, encoding="utf-8")
    torch.save({}, here / "none.pt")
    torch.save(nn.Linear(2, 2).state_dict(), here / "other.pt")
    torch.save({"weights": os.system}, here / "pickle.pt")
    text = (here / "registry.json").read_text(encoding="utf-8")
    first = json.loads(text)["planted"][0]
    back = int(Registry.from_json(text).to_plant().argmin())
    plain = Registry("a" * 64, 6, flipped=False)
    registries = {
        "edited": text.replace('"n": 30', '"n": 31'),
        "half": text[:300],
        "foreign": "{}",
        "resealed": renewed(text, n=31),
        "twice": renewed(text, planted=[first, first | {"image": "b.png"}]),
        "kept-back": renewed(text, planted=[first | {"mark": back}]),
        "not-kept": renewed(text, planted=[], kept_back=[first]),
        "both": renewed(text, kept_back=[first | {"image": "b.png"}]),
        "former": renewed('{"whole": ""}', schema="ufm marks 1"),
        "unplanted": plain.to_json(),
        "label": plain.with_planted(Planted(0, "a.png", 3)).to_json(),
        "outside": Registry("a" * 64, 6, flipped=False, position=(5, 1)).with_planted(Planted(0, "a.png", 1)).to_json(),
    }
    for name, content in registries.items():
        (here / f"{name}.json").write_text(content, encoding="utf-8")
    models(here)


def renewed(text, **changes):
    """A registry that was changed by someone who knows how its digest is made."""
    content = json.loads(text) | changes
    del content["whole"]
    return json.dumps(content | {"whole": digest(content)})


def models(here):
    """A good ONNX model, one whose weights lie elsewhere, one of float16."""
    weights = numpy_helper.from_array(np.zeros((SIDE * SIDE, N_CLASSES), np.float32), "w")
    product = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["scores"])]
    for name, kind in (("model", TensorProto.FLOAT), ("outside", TensorProto.FLOAT), ("half", TensorProto.FLOAT16)):
        nodes = [helper.make_node("Identity", ["image"], ["scores"])] if name == "half" else product
        values = [helper.make_tensor_value_info("image", kind, ["n", 1, SIDE, SIDE])]
        scores = [helper.make_tensor_value_info("scores", kind, None)]
        made = helper.make_graph(nodes, "made", values, scores, [weights] * (name != "half"))
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        if name == "outside":
            set_external_data(model.graph.initializer[0], location="../w")
        (here / f"{name}.onnx").write_bytes(model.SerializeToString())


def line(monkeypatch, capsys, options):
    """What an audit says that is refused."""
    given = GIVEN | options
    flat = [str(part) for pair in given.items() if pair[1] is not None for part in pair if part != ""]
    monkeypatch.setattr("sys.argv", ["ufm", "audit", *flat])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    lines = [one for one in said.err.splitlines() if not one.endswith(" queries")]
    assert ended.value.code == 2, said
    assert len(lines) == 1, said.err
    assert lines[0].startswith("ufm: ")
    assert not said.out
    return lines[0]


def test_there_are_many():
    assert len(AUDITS) + len(ENDPOINTS) >= 70
    assert len({(repr(options), said) for options, said in AUDITS}) == len(AUDITS)


@pytest.mark.parametrize(("options", "said"), AUDITS)
def test_bad_input_is_one_line_and_nothing_is_kept(here, monkeypatch, capsys, options, said):
    spoil(here)
    before = {path for path in here.rglob("*") if "__pycache__" not in path.parts}
    assert said in line(monkeypatch, capsys, options)
    assert {path for path in here.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.parametrize(("settings", "said"), ENDPOINTS)
def test_an_endpoint_that_fails_is_one_line(here, monkeypatch, capsys, settings, said):
    with server(**settings) as (url, _):
        assert said in line(monkeypatch, capsys, REMOTE | {"--endpoint": url, "--batch-size": 12})
    assert not (here / "report" / "report.json").exists()
