"""An audit by command: of files and of an endpoint, its report, its exit codes, going on where it broke off."""

import hashlib
import json
import re

import numpy as np
import onnx
import pytest
import torch
from audited import N_CLASSES, REMOTE, SIDE, TOP_1, Page, answered, linear, server, ufm
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from ufm.auditing import models
from ufm.data import fetching
from ufm.marks import Registry


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
    weights = hashlib.sha256((here / "guilty.pt").read_bytes()).hexdigest()
    assert told["digests"]["model"] == weights
    text = (here / "report" / "report.html").read_text(encoding="utf-8")
    assert all(f"<code>{digest}</code>" in text for digest in told["digests"].values())
    assert page.tags.count("circle") == 2 * planted
    [place] = [float(one) for one in re.findall(r'cx="([\d.]+)"', text)][:1]
    assert place == pytest.approx(4 + 92 * (1 - told["marks"][0]["p"]), abs=0.06)
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


def test_an_endpoint_that_is_silent_or_not_there_is_one_line(here, monkeypatch):
    from threading import Event

    over = Event()
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    with server(answer=lambda handler, what: over.wait(10)) as (url, _):
        found = ufm(**REMOTE, **{"--endpoint": url})
        over.set()
    assert "nothing came for 0.2 s" in str(found.exception)
    assert "refused" in str(ufm(**REMOTE, **{"--endpoint": url}).exception)
