"""Models in ONNX files, run by onnxruntime on the CPU: of its own operators, nothing that a model brings along."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ufm.auditing.onnx_files import external

LARGEST = 1 << 31  # bytes of a model without the files beside it, as protocol buffers allow
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}  # what may be given as a constant
FLOATING = (
    "tensor(float)",
    "tensor(double)",
    "tensor(float16)",
    "seq(map(int64,tensor(float)))",  # scikit-learn's probabilities, a mapping an image
    "seq(map(string,tensor(float)))",
)


class OnnxModel:
    """What answers images with the outputs of an ONNX model.

    Images are given as float32, (n, C, H, W), or flat, (n, C · H · W), where the model takes features. A batch that is
    fixed in the model is filled up. Calls raise ValueError, in one line, where no outputs come.
    """

    def __init__(
        self, path: Path, *, input: str = "", output: str = "", constants: Mapping[str, float] | None = None
    ) -> None:
        """Load a model.

        Args:
            path: of the file; weights beside it are read from its own folder alone.
            input: which takes the images, where the model has several that are no constants.
            output: which is looked at, where the model has several of floating numbers.
            constants: what its other inputs are, each filled with one number.

        Raises:
            ModuleNotFoundError: onnxruntime is not installed.
            ValueError: there is no such model, it names files outside its folder, or input and output are not clear.
        """
        import onnxruntime

        self.path, self.constants = path, dict(constants or {})
        if not path.is_file():
            raise ValueError(f"onnx: {path} is no regular file")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"onnx: {path} is larger than {LARGEST >> 30} GiB")
        self.files = [path, *external(path, path.read_bytes())]
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4  # what is wrong is raised
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.add_session_config_entry("session.load_model_format", "ONNX")
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # between calls torch needs the cores
        try:
            self.session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own have no class in common
            raise ValueError(f"onnx: {path} cannot be loaded: {in_a_line(error)}") from error
        inputs = {one.name: one for one in self.session.get_inputs()}
        for name in self.constants:
            if name not in inputs:
                raise ValueError(f"onnx: {path} has no input {name!r}, it has {', '.join(inputs)}")
            if inputs[name].type not in TYPES:
                raise ValueError(f"onnx: {path} takes {inputs[name].type} as {name!r}, which no number can fill")
        self.others = [inputs[name] for name in self.constants]
        left = [name for name in inputs if name not in self.constants]
        self.input = inputs[chosen(path, "input", input, left, "; what else it takes is said by --constant name=1")]
        if len(left) > 1:
            missing = ", ".join(name for name in left if name != self.input.name)
            raise ValueError(f"onnx: {path} takes {missing} too: say what by --constant name=1")
        if self.input.type != "tensor(float)":
            raise ValueError(f"onnx: {path} takes {self.input.type}, and only float32 can be sent")
        if len(self.input.shape) not in (2, 4):
            raise ValueError(f"onnx: {path} takes {said(self.input.shape)}, neither (n, C, H, W) nor (n, features)")
        outputs = [one.name for one in self.session.get_outputs() if output or one.type in FLOATING]
        self.output = chosen(path, "output", output, outputs)

    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Outputs (n, n_classes) for images (n, C, H, W)."""
        images = batch.to(torch.float32).numpy(force=True)
        flat = len(self.input.shape) == 2
        given = images.reshape(len(images), -1) if flat else images
        wanted = list(self.input.shape[1:])
        if any(isinstance(one, int) and one != size for one, size in zip(wanted, given.shape[1:], strict=True)):
            sizes = " x ".join(map(str, images.shape[1:]))
            raise ValueError(f"onnx: {self.path} takes {said(self.input.shape)}, not images of {sizes}")
        fixed = self.input.shape[0]
        if not isinstance(fixed, int):
            return self.run(given)
        parts = [given[start : start + fixed] for start in range(0, len(given), fixed)]
        parts[-1] = np.concatenate([parts[-1], np.zeros((fixed - len(parts[-1]), *given.shape[1:]), np.float32)])
        return np.concatenate([self.run(part) for part in parts])[: len(given)]

    def run(self, images: np.ndarray) -> np.ndarray:
        """Outputs for as many images as the model takes at once."""
        feed = {self.input.name: images}
        for one in self.others:
            shape = [size if isinstance(size, int) else len(images) for size in one.shape]
            feed[one.name] = np.full(shape, self.constants[one.name], TYPES[one.type])
        try:
            [found] = self.session.run([self.output], feed)
            if isinstance(found, list):
                found = np.array([list(row.values()) for row in found])
            return np.asarray(found, np.float64)
        except Exception as error:
            raise ValueError(f"onnx: {self.path} gives no outputs: {in_a_line(error)}") from error


def chosen(path: Path, kind: str, name: str, there: Sequence[str], beside: str = "") -> str:
    """The name of an input or output of these: the one that is asked for, or the only one."""
    if name and name not in there:
        raise ValueError(f"onnx: {path} has no {kind} {name!r}, it has {', '.join(there) or 'none'}")
    if not name and len(there) != 1:
        several = f"several, {', '.join(there)}: name one with --{kind}{beside}" if there else "none"
        raise ValueError(f"onnx: {path} has no one {kind} but {several}")
    return name or there[0]


def said(shape: Sequence[Any]) -> str:
    """A shape as a model has it, in words; what it leaves open is "n"."""
    return f"({', '.join(str(one) if isinstance(one, int) else 'n' for one in shape)})"


def in_a_line(error: Exception) -> str:
    """What an error says, in one line of bearable length."""
    return " ".join(str(error).split())[:300] or type(error).__name__
