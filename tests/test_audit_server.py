"""An audit over a real server of the Open Inference Protocol, where one is installed."""

import json
import shutil
import socket
import subprocess
import time
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from audited import REMOTE, SIDE, ufm

SERVER = shutil.which("mlserver")
WAIT = 60.0  # seconds
RUNTIME = """
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Linear(MLModel):
    async def load(self):
        self.weights = np.load("weights.npy")
        return True

    async def predict(self, payload):
        images = NumpyCodec.decode_input(payload.inputs[0])
        scores = images.reshape(len(images), -1) @ self.weights
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", scores)])
"""
pytestmark = pytest.mark.skipif(SERVER is None, reason="no mlserver on the path: it is not among the locked packages")


@pytest.fixture
def address(here):
    """The address of an MLServer whose model has the weights that learnt the marks, and what is known of its input."""
    folder = here / "served"
    folder.mkdir()
    (folder / "runtime.py").write_text(RUNTIME, encoding="utf-8")
    weights = torch.load(here / "guilty.pt", weights_only=True)["1.weight"].numpy()
    np.save(folder / "weights.npy", weights.T)
    flat = {"name": "features", "datatype": "FP32", "shape": [-1, SIDE * SIDE]}
    image = {"name": "image", "datatype": "FP32", "shape": [-1, 1, SIDE, SIDE]}
    for name, inputs in (("scans", [image]), ("flat", [flat]), ("untold", [])):
        (folder / name).mkdir()
        settings = {"name": name, "implementation": "runtime.Linear", "inputs": inputs}
        (folder / name / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    ports = {name: free() for name in ("http_port", "grpc_port", "metrics_port")}
    settings = {"host": "127.0.0.1", "parallel_workers": 0} | ports
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    url = f"http://127.0.0.1:{ports['http_port']}"
    command = [SERVER, "start", "."]
    with open(here / "log", "wb") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as server:
        try:
            end = time.monotonic() + WAIT
            while not all(ready(f"{url}/v2/models/{name}/ready") for name in ("scans", "flat", "untold")):
                assert time.monotonic() < end, (here / "log").read_text(encoding="utf-8")
                time.sleep(0.2)
            yield url
        finally:
            server.terminate()


def free():
    """A port that nothing listens to."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ready(url):
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except URLError:
        return False


def test_a_server_is_audited_like_the_weights_that_it_serves(here, address):
    assert ufm().exit_code == 3
    told = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
    for model, options in (("scans", {}), ("flat", {}), ("untold", {"--input": "image"})):
        found = ufm(**REMOTE | {"--endpoint": address, "--model": model} | options)
        assert found.exit_code == 3, found.output
        served = json.loads((here / "report" / "report.json").read_text(encoding="utf-8"))
        assert served["p"] == told["p"]
        assert served["known"]["z"] == pytest.approx(told["known"]["z"], abs=1e-3)
    for model, said in (("gone", "answered 404 for gone"), ("untold", "says that it takes no one input")):
        assert said in str(ufm(**REMOTE | {"--endpoint": address, "--model": model}).exception)
