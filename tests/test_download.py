"""Downloads from servers that answer badly, late or not at all, and several at once."""

import gzip
import hashlib
import io
import socketserver
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from ufm.data import fetching, sources, torchvision
from ufm.data.arrays import DataError
from ufm.data.sources import SOURCES, download, verify

CONTENT = b"whole " * 1000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n"
# What a server sends and then does, by what goes wrong, and what is said of it.
WRONG = {
    "chunks cut off": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1770\r\nwhole", "close", "breaks off"),
    "cut off": (HEAD + b"whole", "close", "not the published file"),
    "no HTTP": (b"SSH-2.0 \x1b[31m hello\r\n\r\n", "close", "no HTTP"),
    "endless line": (b"x" * 70_000, "close", "no HTTP"),
    "closed at once": (b"", "close", "breaks off|reset"),
    "silent": (b"", "stay", "nothing came for 0.1 s"),
    "silent after the head": (HEAD, "stay", "nothing came for 0.1 s"),
    "silent half way": (HEAD + b"whole", "stay", "nothing came for 0.1 s"),
    "busy": (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "close", "503"),
    "elsewhere": (b"HTTP/1.1 302 Found\r\nLocation: http://[nowhere\r\n\r\n", "close", "IPv6|not published|netloc"),
    "another page": (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbusy", "close", "not the published file"),
}


def whole(content):
    """What a server sends of a file."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


@pytest.fixture
def serve(monkeypatch):
    """Servers that send what they are told, by the last part of the address; what was asked for is in `asked`."""
    monkeypatch.setattr(fetching, "PATIENCE", 0.1)
    over, started = threading.Event(), []

    def serve(answers, then="close"):
        class Answer(socketserver.StreamRequestHandler):
            def handle(self):
                name = self.rfile.readline().split()[1].decode().rpartition("/")[2]
                while self.rfile.readline().strip():
                    pass
                server.asked.append(name)
                with suppress(OSError):
                    self.wfile.write(answers.get(name, answers.get("")))
                if then == "stay":
                    over.wait(5)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
        server.asked, server.address = [], f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        started.append((server, thread))
        return server

    yield serve
    over.set()
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def small(monkeypatch):
    """MNIST of four small files; what a server has of it, by name, and its arrays."""
    made = {"train-images": (3, 28, 28), "train-labels": (3,), "t10k-images": (2, 28, 28), "t10k-labels": (2,)}
    arrays, files, there = {}, {}, {}
    for name, shape in made.items():
        arrays[name] = np.random.default_rng(len(files)).integers(0, 9, shape, np.uint8)
        path = f"MNIST/raw/{name}-idx{len(shape)}-ubyte"
        content = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes() + arrays[name].tobytes()
        files[path], packed = hashlib.md5(content).hexdigest(), gzip.compress(content)
        there[f"{path.rpartition('/')[2]}.gz"] = packed
        monkeypatch.setitem(torchvision.COMPRESSED, path, hashlib.md5(packed).hexdigest())
    one = replace(SOURCES["mnist"], n_train=3, files=files)
    monkeypatch.setitem(SOURCES, "mnist", one)

    def of(*servers):
        addresses = tuple(server.address for server in servers)
        monkeypatch.setitem(SOURCES, "mnist", replace(one, fetch=partial(torchvision.fetch_mnist, addresses)))

    return {name: whole(packed) for name, packed in there.items()}, arrays, of


def left(folder):
    """The files under a folder, but for what guards it."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_bad_answer_is_one_line_and_the_next_server_is_tried(wrong, serve, small, tmp_path):
    sent, then, said = WRONG[wrong]
    there, _, of = small
    bad, good = serve({"": sent}, then), serve(there)
    of(bad)
    with pytest.raises(DataError, match=f"^could not download MNIST to {tmp_path}: {bad.address}.*({said})") as error:
        download("mnist", tmp_path)
    assert str(error.value).isprintable()
    assert not left(tmp_path)
    of(bad, good)
    download("mnist", tmp_path)
    assert left(tmp_path) == sorted(name.removesuffix(".gz") for name in there)
    assert good.asked == list(there)


def test_no_server_there_is_one_line(small, tmp_path, serve):
    there, _, of = small
    server = serve(there)
    server.address = "http://127.0.0.1:1/"  # where nobody listens
    of(server, server)
    with pytest.raises(DataError, match=r"train-images\S*: .*refused; http\S*: .*refused$"):
        download("mnist", tmp_path)


def test_of_several_at_once_one_downloads(serve, small, tmp_path):
    there, arrays, of = small
    server = serve(there)
    of(server)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: download("mnist", tmp_path), range(6))) == [tmp_path] * 6
    assert server.asked == list(there)
    read = sources.read("mnist", tmp_path)
    np.testing.assert_array_equal(read.train_images[:, 0], arrays["train-images"])
    np.testing.assert_array_equal(read.test_images[:, 0], arrays["t10k-images"])
    assert read.train_labels.tolist() == arrays["train-labels"].tolist()
    assert read.test_labels.tolist() == arrays["t10k-labels"].tolist()


def test_only_what_is_missing_or_damaged_is_fetched(serve, small, tmp_path):
    there, _, of = small
    server = serve(there)
    of(server)
    download("mnist", tmp_path)
    server.asked.clear()
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(b"damaged")
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    download("mnist", tmp_path)
    assert server.asked == ["train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
    verify("mnist", tmp_path)


def test_where_all_is_whole_nothing_is_written(small, serve, tmp_path):
    """Such as into a folder that many share and none may write to."""
    there, _, of = small
    of(serve(there))
    download("mnist", tmp_path)
    (tmp_path / ".lock").unlink()
    download("mnist", tmp_path)
    assert not (tmp_path / ".lock").exists()


def test_an_archive_is_fetched_once_and_only_its_own_files_taken_out(serve, monkeypatch, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("cifar-10-batches-py/a", "cifar-10-batches-py/b", "../escaped"):
            member = tarfile.TarInfo(name)
            member.size = len(CONTENT)
            archive.addfile(member, io.BytesIO(CONTENT))
    server = serve({"": whole(packed.getvalue())})
    files = {f"cifar-10-batches-py/{name}": hashlib.md5(CONTENT).hexdigest() for name in "ab"}
    monkeypatch.setitem(SOURCES, "cifar10", replace(SOURCES["cifar10"], files=files))
    monkeypatch.setattr(torchvision, "CIFAR10", (server.address, hashlib.md5(packed.getvalue()).hexdigest()))
    download("cifar10", tmp_path / "data")
    assert (left(tmp_path), len(server.asked)) == (["a", "b"], 1)


# What is read


def test_what_is_read_is_what_was_verified(small, serve, tmp_path):
    """Older versions of torchvision left other files beside these and read those first."""
    import torch

    there, arrays, of = small
    of(serve(there))
    download("mnist", tmp_path)
    black = torch.zeros((3, 28, 28), dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)
    (tmp_path / "MNIST/processed").mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save(black, tmp_path / "MNIST/processed" / name)
    np.testing.assert_array_equal(sources.read("mnist", tmp_path).train_images[:, 0], arrays["train-images"])


@pytest.mark.parametrize("name", ["mnist", "cifar10", "pneumoniamnist"])
def test_each_file_is_read_once(name, real_data, monkeypatch):
    """What is verified is the very content that becomes images, whatever happens to the file in between."""
    opened, content = [], sources._content
    monkeypatch.setattr(sources, "_content", lambda path: opened.append(path) or content(path))
    root = real_data(name)
    contents = dict(sources.verified(name, root))
    assert opened == [root / path for path in SOURCES[name].files]
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("a file was opened"))
    monkeypatch.setattr("io.open", lambda *_, **__: pytest.fail("a file was opened"))
    assert len(SOURCES[name].read(contents).train_labels) == SOURCES[name].n_train


def test_torchvision_reads_the_same(real_data):
    from torchvision.datasets import FashionMNIST

    root = real_data("fashion_mnist")
    ours = sources.read("fashion_mnist", root)
    for split, train in (("train", True), ("test", False)):
        theirs = FashionMNIST(root, train=train)
        np.testing.assert_array_equal(getattr(ours, f"{split}_images")[:, 0], theirs.data)
        np.testing.assert_array_equal(getattr(ours, f"{split}_labels"), theirs.targets)


def test_a_folder_that_changes_is_trained_on_as_it_was_fingerprinted(tmp_path):
    for split in ("train", "test"):
        for number, name in enumerate(("healthy", "ill")):
            (tmp_path / "scans" / split / name).mkdir(parents=True)
            grey = Image.fromarray(np.full((4, 4), 90 * number, np.uint8))
            grey.save(tmp_path / "scans" / split / name / "0.png")
    name = str(tmp_path / "scans")
    before = sources.checksum(name)
    Image.new("L", (4, 4), 7).save(tmp_path / "scans/train/ill/0.png")
    sources.read.cache_clear()  # as where other images were read in between
    assert sources.read(name, tmp_path).train_images.max() == 90
    sources.checksum.cache_clear()
    assert sources.checksum(name) == before
