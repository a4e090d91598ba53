"""Which files an ONNX model keeps its weights in, beside its own: read from its bytes before anything loads it.

A model may name any path for the data of a tensor. The messages are those of onnx.proto, of which only what leads to a
tensor is followed (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from collections.abc import Iterator
from pathlib import Path

# By message, the numbers of the fields that are messages in which a tensor may lie.
INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
VARINT, BITS_64, BYTES, BITS_32 = 0, 1, 2, 5  # wire types of protocol buffers
DEEPEST = 100  # messages in one another, as protocol buffers allow


def external(path: Path, content: bytes) -> list[Path]:
    """The files that hold tensors of a model, each in the model's own folder or below it.

    Raises ValueError, naming the model: its bytes are no such message, or a file lies elsewhere, also by a link, or is
    none.
    """
    folder, found = path.parent.resolve(), dict[Path, None]()
    try:
        locations = list(places(memoryview(content), "model"))
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"onnx: {path} is no ONNX model") from error
    for location in locations:
        try:
            file = (folder / location).resolve()
            there = file.is_file()
        except (OSError, ValueError, RuntimeError) as error:  # such as a name with a zero byte, or links in a circle
            raise ValueError(f"onnx: {path} keeps weights in {location!r}, which is no file") from error
        if not file.is_relative_to(folder):
            raise ValueError(f"onnx: {path} keeps weights in {location!r}, outside its own folder; that is not read")
        if not there:
            raise ValueError(f"onnx: {path} keeps weights in {location!r}, which is not beside it")
        found[file] = None
    return list(found)


def places(message: memoryview, kind: str, depth: int = 0) -> Iterator[str]:
    """The locations that tensors in a message name. Raises IndexError or ValueError where its bytes are no message."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    for number, content in fields(message):
        inner = INSIDE[kind].get(number)
        if inner == "entry":
            entry = dict(fields(content))
            if bytes(entry.get(1, b"")) == b"location":
                yield bytes(entry.get(2, b"")).decode("utf-8")
        elif inner is not None:
            yield from places(content, inner, depth + 1)


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that hold bytes, by number. Raises IndexError or ValueError as `places` does."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        wire = key & 7
        if wire == VARINT:
            _, at = varint(message, at)
        elif wire in (BITS_64, BITS_32):
            at += 8 if wire == BITS_64 else 4
        elif wire == BYTES:
            size, at = varint(message, at)
            if size > len(message) - at:
                raise ValueError("breaks off")
            yield key >> 3, message[at : at + size]
            at += size
        else:
            raise ValueError("another wire type")
    if at != len(message):
        raise ValueError("breaks off")


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number, and where what follows it begins."""
    value, shift = 0, 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
