"""Models as what answers queries: weights in an architecture that one names, or an endpoint.

Weights of strangers are read as tensors alone, so that nothing in their file is run; an endpoint is asked over HTTP.
"""

import json
import os
import sys
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

import numpy as np
import torch
from torch import nn

from ufm.data import fetching

LARGEST = 1 << 28  # bytes of an answer
TOKEN = "UFM_ENDPOINT_TOKEN"  # environment variable of the credential, which is sent as a bearer's


class Unmoved(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which would lead images and credential elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """None, so that the answer is the error that it is."""


OPENER = urllib.request.build_opener(Unmoved)


def of_torch(factory: str, weights: Path) -> Callable[[torch.Tensor], np.ndarray]:
    """A network of PyTorch: "module:function" makes it, and its weights lie in a file that `torch.save` wrote.

    The module is looked for in the working directory too. Only tensors are read from the file.

    Raises ValueError: there is no such module or function, it makes no network, or the weights are not its own.
    """
    module, colon, function = factory.partition(":")
    if not (module and colon and function):
        raise ValueError(f"torch: {factory!r} is not of the form module:function")
    try:
        sys.path.insert(0, os.getcwd())
        network = getattr(import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"torch: {factory} is not there: {error}") from error
    finally:
        sys.path.remove(os.getcwd())
    if not isinstance(network, nn.Module):
        raise ValueError(f"torch: {factory} gives no network but {type(network).__name__}")
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:  # a file that is none ends in errors of any class
        raise ValueError(f"weights: {weights} holds none of this network: {' '.join(str(error).split())}") from error
    network.eval()
    dtype = next((one.dtype for one in network.parameters()), torch.float32)

    @torch.inference_mode()
    def predict(batch: torch.Tensor) -> np.ndarray:
        try:
            return network(batch.to(dtype)).double().numpy()
        except Exception as error:  # whatever the network raises
            shape, why = " x ".join(map(str, batch.shape[1:])), " ".join(str(error).split())
            raise ValueError(f"torch: {factory} gives nothing for images of {shape}: {why}") from error

    return predict


class Endpoint:
    """A model behind the Open Inference Protocol, version 2 over REST, as KServe, MLServer and Triton speak it.

    Images are sent as float32, (n, C, H, W), or flat, (n, C · H · W), where the model says that it takes two axes; of
    the answer the first output is taken, or the one that is named. Calls raise ValueError, in one line, where no such
    answer comes.
    """

    def __init__(self, url: str, model: str, *, input: str = "", output: str = ""):
        """Ask the endpoint what the model takes; `input` is needed where it does not say so.

        Raises ValueError: no address, no such model, or it takes something else than one input of float32.
        """
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"endpoint: {url!r} is no address that begins with http:// or https://")
        self.url, self.model, self.output = url.rstrip("/"), model, output
        told = self.asked("", None)
        inputs = told.get("inputs", []) if isinstance(told, dict) else None
        if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
            raise ValueError(f"endpoint: {model} does not say what it takes")
        named = ", ".join(str(one.get("name")) for one in inputs)
        if input and not inputs:  # some servers do not know
            inputs = [{"name": input, "datatype": "FP32"}]
        if len(inputs) != 1 or input not in ("", str(inputs[0].get("name"))):
            wanted = f"no one input{f' {input!r}' * bool(input)} but {named or 'none that is named: name it'}"
            raise ValueError(f"endpoint: {model} says that it takes {wanted}")
        self.input, kind, shape = str(inputs[0].get("name")), inputs[0].get("datatype"), inputs[0].get("shape")
        if kind != "FP32":
            raise ValueError(f"endpoint: {model} takes {kind}, and only FP32 can be sent")
        self.flat = isinstance(shape, list) and len(shape) == 2

    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Outputs (n, n_classes) for images (n, C, H, W)."""
        images = batch.to(torch.float32)
        images = images.flatten(1) if self.flat else images
        given = {"name": self.input, "shape": list(images.shape), "datatype": "FP32", "data": images.flatten().tolist()}
        told = self.asked("/infer", {"inputs": [given]})
        try:
            outputs = [one for one in told["outputs"] if self.output in ("", one["name"])]
            return np.array(outputs[0]["data"], dtype=np.float64).reshape([int(n) for n in outputs[0]["shape"]])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            named = f" called {self.output}" if self.output else ""
            raise ValueError(f"endpoint: {self.model} answered without an output{named} that can be read") from error

    def asked(self, what: str, content: dict | None) -> dict:
        """What the endpoint answers, from JSON."""
        request = urllib.request.Request(
            f"{self.url}/v2/models/{quote(self.model, safe='')}{what}",
            data=None if content is None else json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )
        if os.environ.get(TOKEN):
            request.add_header("Authorization", f"Bearer {os.environ[TOKEN]}")
        try:
            with OPENER.open(request, timeout=fetching.PATIENCE) as response:
                answer = response.read(LARGEST + 1)
                if response.length and len(answer) <= LARGEST:
                    raise HTTPException("broken off")  # which read() says only without a limit
            if len(answer) > LARGEST:
                raise ValueError(
                    f"endpoint: {self.model} answered with more than {LARGEST >> 20} MiB; send fewer images"
                )
            return json.loads(answer)
        except HTTPError as error:
            error.close()
            raise ValueError(f"endpoint: {self.url} answered {error.code} for {self.model}") from error
        except (OSError, HTTPException) as error:
            raise ValueError(f"endpoint: {self.url}: {fetching.reason(error)}") from error
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"endpoint: {self.url} answered with what is no JSON") from error
