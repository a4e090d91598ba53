"""How long an audit of an ONNX model takes beside the bare calls of onnxruntime: 1 000 draws on 1 000 images.

The model is an MLP of the size of MNIST's, its images are noise. Bare calls and audit take turns, so that what else the
machine does slows both. Beside the time that passed stands the processors' own, which other processes do not lengthen.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/audit.py > book/benchmarks/audit.md
    (echo; .venv/bin/python benchmarks/audit.py) >> book/benchmarks/audit.md
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from ufm.auditing import pool
from ufm.auditing.onnx_models import OnnxModel
from ufm.marks import Registry
from ufm.records.provenance import device_name

SIZES = (784, 512, 256, 10)
N_IMAGES, N_DRAWS, AT_ONCE = 1_000, 1_000, 40


def main() -> None:
    registry, images = Registry("0123456789abcdef" * 4, 20), torch.rand(N_IMAGES, 1, 28, 28)
    marks = np.concatenate([registry.marks(), registry.unused(N_DRAWS - registry.n)])
    with tempfile.TemporaryDirectory() as folder:
        model = OnnxModel(written(Path(folder) / "model.onnx"))
    spent = np.zeros((2, 2))  # of bare calls and of the audit: seconds that passed, and of processors
    for start in range(-AT_ONCE, N_DRAWS, AT_ONCE):  # the first round warms up
        few = marks[max(start, 0) : max(start, 0) + AT_ONCE]
        taken = [seconds(bare, model, images, len(few)), seconds(audited, model, images, few)]
        spent += 0 if start < 0 else np.array(taken)
    ratios = spent[1] / spent[0]
    print(f"{device_name('cpu')}; {N_DRAWS} draws on {N_IMAGES} images.\n")
    print("| | bare calls | audit | audit over bare calls |")
    print("|---|---|---|---|")
    for number, name in enumerate(("time that passed", "time of processors")):
        print(f"| {name} | {spent[0, number]:.0f} s | {spent[1, number]:.0f} s | {ratios[number]:.2f} |")


def written(path: Path) -> Path:
    """A model file with random weights."""
    rng, nodes, weights = np.random.default_rng(0), [helper.make_node("Flatten", ["image"], ["0"])], []
    for layer, (n_in, n_out) in enumerate(zip(SIZES, SIZES[1:], strict=False)):
        weights.append(numpy_helper.from_array(rng.normal(0, 0.05, (n_in, n_out)).astype(np.float32), f"w{layer}"))
        last = layer == len(SIZES) - 2
        nodes.append(helper.make_node("MatMul", [str(layer), f"w{layer}"], ["logits" if last else f"x{layer}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"x{layer}"], [str(layer + 1)]))
    given = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])]
    gives = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", SIZES[-1]])]
    made = helper.make_graph(nodes, "mlp", given, gives, weights)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def bare(model: OnnxModel, images: torch.Tensor, n_marks: int) -> None:
    """As many calls of onnxruntime as the audit makes on the images."""
    for _ in range(1 + n_marks):
        model.session.run([model.output], {model.input.name: images.numpy()})


def audited(model: OnnxModel, images: torch.Tensor, marks: np.ndarray) -> None:
    """What an audit asks and makes of it."""
    pool(model, marks, images, gives="logits")


def seconds(function, *arguments) -> tuple[float, float]:
    """How long a call takes: seconds that pass, and of processors."""
    begun = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


if __name__ == "__main__":
    main()
