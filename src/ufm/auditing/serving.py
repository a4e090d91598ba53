"""A server of the Open Inference Protocol on this machine alone, to try the audit of an endpoint.

It answers in the protocol's version 2 over REST, as far as an audit asks. For others to ask take MLServer, Triton or
KServe.
"""

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

import numpy as np
import torch

from ufm.auditing.pools import Predict

PATH = "/v2/models/"
INPUT, OUTPUT, DATATYPE = "image", "scores", "FP32"


class Server(ThreadingHTTPServer):
    """Models behind an address on this machine, `url`, from now until `close`.

    Each takes float images (n, C, H, W) as "image" and gives numbers (n, n_classes), "scores".
    """

    daemon_threads = True

    def __init__(self, models: Mapping[str, Predict]):
        """Serve models by name, at a port that is free."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.models = dict(models)
        self.url = f"http://127.0.0.1:{self.server_port}"
        Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server

    def do_GET(self) -> None:
        """Say what a model takes and gives."""
        name = self.named("")
        if name:
            about = {"datatype": DATATYPE, "shape": [-1, -1, -1, -1]}
            gives = {"datatype": DATATYPE, "shape": [-1, -1]}
            self.answer({"name": name, "inputs": [{"name": INPUT} | about], "outputs": [{"name": OUTPUT} | gives]})

    def do_POST(self) -> None:
        """Say what a model answers to images."""
        name = self.named("/infer")
        if name:
            try:
                [given] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
                images = torch.tensor(given["data"], dtype=torch.float32).reshape(given["shape"])
                scores = np.asarray(self.server.models[name](images), np.float64)
            except (ValueError, KeyError, TypeError, RuntimeError) as error:
                self.answer({"error": f"{type(error).__name__}: {error}"}, 400)
                return
            gives = {"name": OUTPUT, "datatype": DATATYPE, "shape": list(scores.shape), "data": scores.ravel().tolist()}
            self.answer({"model_name": name, "outputs": [gives]})

    def named(self, what: str) -> str:
        """The model of a path of this kind; nothing, after an answer that says so, where there is none."""
        name = unquote(self.path.removeprefix(PATH).removesuffix(what))
        if name in self.server.models and self.path.startswith(PATH) and self.path.endswith(what):
            return name
        self.answer({"error": f"no model answers to {self.path}"}, 404)
        return ""

    def answer(self, content: dict[str, object], status: int = 200) -> None:
        """Send JSON."""
        told = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Requests are written down nowhere."""
