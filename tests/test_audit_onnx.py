"""ONNX models as what answers queries: exported from torch and scikit-learn, built by hand, quantised; and bad ones."""

import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from onnxruntime.quantization import quantize_dynamic
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import nn

from ufm.auditing import audit
from ufm.auditing.onnx_files import external
from ufm.auditing.onnx_models import OnnxModel
from ufm.marks import Planted, Registry

SIDE, N_CLASSES = 8, 3
FLOAT = TensorProto.FLOAT


@pytest.fixture
def images():
    return torch.tensor(np.random.default_rng(0).random((7, 1, SIDE, SIDE)), dtype=torch.float32)


def graph(nodes, inputs, outputs, weights=()):
    """A model of these nodes; inputs and outputs as (name, type, shape)."""
    values = [[helper.make_tensor_value_info(*one) for one in those] for those in (inputs, outputs)]
    made = helper.make_graph(nodes, "made", *values, [numpy_helper.from_array(array, name) for name, array in weights])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def linear(folder, batch="n", name="model.onnx", **changes):
    """Weights (64, 3), and a model file that multiplies images by them."""
    weights = np.random.default_rng(1).normal(size=(SIDE * SIDE, N_CLASSES)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["scores"])]
    model = graph(
        nodes,
        [("image", FLOAT, [batch, 1, SIDE, SIDE])],
        [("scores", FLOAT, [batch, N_CLASSES])],
        [("w", weights)],
    )
    onnx.save(model, folder / name, **changes)
    return weights


@pytest.mark.parametrize("batch", ["n", None, 1, 3, 7, 20])
def test_a_batch_may_be_dynamic_or_fixed(tmp_path, images, batch):
    weights = linear(tmp_path, batch)
    expected = images.flatten(1).numpy() @ weights
    np.testing.assert_allclose(OnnxModel(tmp_path / "model.onnx")(images), expected, rtol=1e-5)


def test_a_session_leaves_the_cores_to_torch_between_calls(tmp_path):
    """Threads that wait by spinning make an audit slower (benchmarks/audit.py with two threads)."""
    linear(tmp_path)
    settings = OnnxModel(tmp_path / "model.onnx").session.get_session_options()
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert settings.intra_op_num_threads == torch.get_num_threads()


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning")
def test_an_export_of_torch_answers_as_the_network_does(tmp_path, images):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, N_CLASSES), nn.Softmax(1))
    torch.onnx.export(
        network.eval(), (images[:2],), tmp_path / "n.onnx", dynamic_axes={"image": {0: "n"}}, input_names=["image"],
        dynamo=False,
    )  # fmt: skip
    with torch.inference_mode():
        np.testing.assert_allclose(OnnxModel(tmp_path / "n.onnx")(images), network(images), rtol=1e-4)


@pytest.mark.parametrize("mapping", [True, False])
@pytest.mark.parametrize("names", [[0, 1, 2], ["cat", "dog", "owl"]])
def test_an_export_of_scikit_learn_takes_features_and_gives_probabilities(tmp_path, images, mapping, names):
    from skl2onnx import to_onnx

    flat = images.flatten(1).numpy()
    fitted = LogisticRegression().fit(flat, [names[number] for number in (0, 1, 2, 0, 1, 2, 1)])
    options = {id(fitted): {"zipmap": mapping}}
    (tmp_path / "s.onnx").write_bytes(to_onnx(fitted, flat[:1], options=options).SerializeToString())
    np.testing.assert_allclose(OnnxModel(tmp_path / "s.onnx")(images), fitted.predict_proba(flat), atol=1e-5)
    if names == [0, 1, 2]:
        labels = OnnxModel(tmp_path / "s.onnx", output="output_label" if mapping else "label")(images)
        assert labels.tolist() == fitted.predict(flat).tolist()


def test_a_quantised_model_is_audited(tmp_path, images):
    registry = Registry("0123456789abcdef" * 4, 40, flipped=False)
    weights = np.random.default_rng(1).normal(size=(N_CLASSES, SIDE, SIDE)).astype(np.float32) / 4
    for number, mark in enumerate(registry.marks()):
        registry = registry.with_planted(Planted(number, f"{number}.png", number % N_CLASSES))
        weights[number % N_CLASSES, 1:6, 1:6] += 0.5 * (mark[0] - 12 / 25)
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["scores"])]
    plain = graph(
        nodes,
        [("image", FLOAT, ["n", 1, SIDE, SIDE])],
        [("scores", FLOAT, ["n", N_CLASSES])],
        [("w", weights.reshape(N_CLASSES, -1).T.copy())],
    )
    onnx.save(plain, tmp_path / "plain.onnx")
    quantize_dynamic(tmp_path / "plain.onnx", tmp_path / "quantised.onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "quantised.onnx").graph.node}
    assert "MatMulInteger" in kinds
    report = audit(OnnxModel(tmp_path / "quantised.onnx"), registry, images, gives="logits")
    assert report.p < 0.01


def several(folder, *, kind=FLOAT):
    """A model of an image, a scale and a shift, with two outputs."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["first"]),
        helper.make_node("Mul", ["first", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["second"]),
    ]
    inputs = [("image", FLOAT, ["n", 1, SIDE, SIDE]), ("scale", FLOAT, [1]), ("shift", kind, ["n", N_CLASSES])]
    weights = np.random.default_rng(1).normal(size=(SIDE * SIDE, N_CLASSES)).astype(np.float32)
    outputs = [("first", FLOAT, ["n", N_CLASSES]), ("second", FLOAT, ["n", N_CLASSES])]
    onnx.save(graph(nodes, inputs, outputs, [("w", weights)]), folder / "several.onnx")
    return weights


def test_of_several_inputs_and_outputs_each_is_named(tmp_path, images):
    weights = several(tmp_path)
    constants = {"scale": 2.0, "shift": 5.0}
    first, second = (
        OnnxModel(tmp_path / "several.onnx", output=name, constants=constants) for name in ("first", "second")
    )
    expected = images.flatten(1).numpy() @ weights
    np.testing.assert_allclose(first(images), expected, rtol=1e-5)
    np.testing.assert_allclose(second(images), 2 * expected + 5, rtol=1e-5)


BOTH = {"scale": 1, "shift": 0}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "has no one input but several, image, scale, shift: name one with --input; what else it takes is said by"),
        ({"input": "image"}, "takes scale, shift too: say what by --constant name=1"),
        ({"input": "gone", "output": "first"}, "has no input 'gone', it has image, scale, shift"),
        ({"constants": BOTH}, "has no one output but several, first, second: name one with --output"),
        ({"constants": BOTH, "output": "gone"}, "has no output 'gone', it has first, second"),
        ({"constants": {"gone": 1}}, "has no input 'gone', it has image, scale, shift"),
    ],
)
def test_what_is_not_clear_is_asked_for(tmp_path, options, said):
    several(tmp_path)
    with pytest.raises(ValueError, match="^onnx: ") as raised:
        OnnxModel(tmp_path / "several.onnx", **options)
    assert said in str(raised.value)


def test_weights_beside_a_model_are_read(tmp_path, images):
    weights = linear(tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = OnnxModel(tmp_path / "model.onnx")
    assert model.files == [tmp_path / "model.onnx", tmp_path / "weights.bin"]
    np.testing.assert_allclose(model(images), images.flatten(1).numpy() @ weights, rtol=1e-5)


def elsewhere(model, location):
    """A model whose first initializer lies in another file."""
    tensor = model.graph.initializer[0]
    set_external_data(tensor, location=location)
    tensor.ClearField("raw_data")
    return model


def nested(model, location):
    """The same of a tensor in a branch of a node, where checks that look at initializers alone do not look."""
    inner = helper.make_tensor("inner", FLOAT, [64, 3], np.zeros(192, np.float32).tobytes(), raw=True)
    set_external_data(inner, location=location)
    inner.ClearField("raw_data")
    value = helper.make_tensor_value_info("c", FLOAT, [])
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=inner)], "branch", [], [value])
    model.graph.node.append(helper.make_node("If", ["flag"], ["out"], then_branch=branch, else_branch=branch))
    return model


@pytest.mark.parametrize("place", [elsewhere, nested])
@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("../secret.bin", "keeps weights in '../secret.bin', outside its own folder; that is not read"),
        ("/etc/passwd", "keeps weights in '/etc/passwd', outside its own folder"),
        ("down/../../secret.bin", "outside its own folder"),
        ("link.bin", "keeps weights in 'link.bin', outside its own folder"),
        ("gone.bin", "keeps weights in 'gone.bin', which is not beside it"),
        (".", "which is not beside it"),
        ("*/_ORT_MEM_ADDR_/*", "which is not beside it"),  # onnxruntime's own word for an address in memory
        ("a\0b", "which is no file"),
    ],
)
def test_weights_elsewhere_are_not_read(tmp_path, place, location, said):
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4 * 192))
    (folder / "down").mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    linear(folder)
    path = folder / "model.onnx"
    path.write_bytes(place(onnx.load(path), location).SerializeToString())
    with pytest.raises(ValueError, match="^onnx: ") as raised:
        OnnxModel(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_tensor_of_a_model_is_looked_at(tmp_path):
    linear(tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    names = [f"{number}.bin" for number in range(6)]
    for name in names:
        (tmp_path / name).write_bytes(b"")

    def tensor(name):
        made = helper.make_tensor("t", FLOAT, [1], bytes(4), raw=True)
        set_external_data(made, location=name)
        return made

    node = helper.make_node("Constant", [], ["c"])
    node.attribute.append(helper.make_attribute("tensors", [tensor(names[0])]))
    model.graph.node.append(node)
    sparse = onnx.SparseTensorProto()
    sparse.values.CopyFrom(tensor(names[1]))
    sparse.indices.CopyFrom(tensor(names[2]))
    model.graph.sparse_initializer.append(sparse)
    function = onnx.FunctionProto(name="f")
    function.node.append(helper.make_node("Constant", [], ["c"], value=tensor(names[3])))
    model.functions.append(function)
    training = onnx.TrainingInfoProto()
    training.algorithm.initializer.append(tensor(names[4]))
    training.initialization.initializer.append(tensor(names[5]))
    model.training_info.append(training)
    found = external(tmp_path / "model.onnx", model.SerializeToString())
    assert sorted(file.name for file in found) == names


def of_one(operator, kind=FLOAT, shape=("n", 1, 8, 8)):
    """What writes a model of one operator on inputs of a type and shape."""

    def make(path):
        node = helper.make_node(operator, ["image"], ["out"])
        onnx.save(graph([node], [("image", kind, shape)], [("out", kind, shape)]), path)

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "is no regular file"),
        (lambda path: path.mkdir(), "is no regular file"),
        (lambda path: path.write_bytes(b""), "cannot be loaded"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n"), "is no ONNX model"),
        (lambda path: path.write_bytes(b"\x3a\xff\xff\x7f" + bytes(9)), "is no ONNX model"),
        (lambda path: path.write_bytes(b"\x08" + b"\xff" * 30), "is no ONNX model"),
        (lambda path: path.write_bytes(deep()), "is no ONNX model"),
        (lambda path: path.write_bytes(b"ORTM" * 9), "is no ONNX model"),
        (of_one("Nonsense"), "cannot be loaded"),
        (of_one("Identity", TensorProto.FLOAT16), "takes tensor(float16), and only float32 can be sent"),
        (of_one("Identity", TensorProto.DOUBLE), "takes tensor(double), and only float32 can be sent"),
        (of_one("Identity", FLOAT, ("n", 8, 8)), "takes (n, 8, 8), neither (n, C, H, W) nor (n, features)"),
    ],
)
def test_what_is_no_model_is_named(tmp_path, make, said):
    path = tmp_path / "model.onnx"
    make(path)
    with pytest.raises(ValueError, match="^onnx: .*model.onnx") as raised:
        OnnxModel(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def deep():
    """Graphs within graphs, deeper than any parser should follow."""
    content = b""
    for _ in range(300):
        for number in (6, 5, 1):  # a graph in an attribute in a node
            content = inside(number, content)
    return inside(7, content)


def inside(number, content):
    """A message with one field, which holds bytes."""
    size, head = len(content), bytearray([number << 3 | 2])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(head) + bytes([size]) + content


def test_images_of_another_shape_are_named(tmp_path, images):
    linear(tmp_path)
    with pytest.raises(ValueError, match=r"model.onnx takes \(n, 1, 8, 8\), not images of 1 x 4 x 8$"):
        OnnxModel(tmp_path / "model.onnx")(images[:, :, :4])


def test_without_onnxruntime_one_line_says_how_to_install_it(tmp_path, monkeypatch, capsys):
    from ufm import cli

    linear(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "registry.json").write_text(Registry("a" * 64, 4).to_json(), encoding="utf-8")
    (tmp_path / "images").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "images" / "a.png")
    given = {"--registry": "registry.json", "--images": "images", "--out": "out", "--onnx": "model.onnx"}
    monkeypatch.setattr(sys, "argv", ["ufm", "audit", *(part for pair in given.items() for part in pair)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "ufm: onnxruntime is not installed; `pip install 'ufm[audit]'` brings it\n"
