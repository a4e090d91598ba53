"""Images and labels: the data sets that models are trained on, and the image sets that they are scored on."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from pathlib import Path

import numpy as np

from ufm.data import sources
from ufm.data.arrays import DataError, enlarge, read_only, resize_bilinear
from ufm.data.folders import called, is_folder
from ufm.randomness.streams import stratified_order, stream

GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, or one stratified part of its training split. All arrays are read-only."""

    name: str
    n_train: int | None  # training images of a part; None: all of them
    part: int  # which part, 0 to n_parts - 1
    n_parts: int  # parts of that size in the training split
    train_images: np.ndarray  # (N, C, H, W) uint8, in file order
    train_labels: np.ndarray  # (N,) int64
    train_indices: np.ndarray  # (N,) int64, the images' numbers in the full training file, ascending
    test_images: np.ndarray  # (M, C, H, W) uint8
    test_labels: np.ndarray  # (M,) int64
    mean: tuple[float, ...]  # of the full training split's pixels on [0, 1], one a channel
    std: tuple[float, ...]  # the same
    checksum: str  # SHA-256 of the five arrays, in hexadecimal
    validation_images: np.ndarray | None = None  # (V, C, H, W) uint8, where there is such a split
    validation_labels: np.ndarray | None = None  # (V,) int64

    @property
    def n_classes(self) -> int:
        return int(self.test_labels.max()) + 1

    @property
    def scope(self) -> str:
        """Scope of the random streams, data set and size, such as "mnist/full" or "mnist/10000"."""
        return f"{self.name}/{self.n_train or 'full'}"

    def place_of(self, index: int | None) -> int:
        """Place (0 … n − 1) among the training images of the one of this number in the full training file.

        Raises a ValueError that begins with the number where it is none of this part's, as None never is.
        """
        places = np.flatnonzero(self.train_indices == index)
        if not len(places):
            raise ValueError(f"{index} is not among the {len(self.train_indices)} training images")
        return int(places[0])

    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices, ascending, of the two stratified halves of the test split.

        The first is for early stopping, the second for reporting: accuracy is never reported on images that early
        stopping saw. The same for every size, part and model.
        """
        order = stratified_order(self.test_labels, stream("halves", scope=self.name))
        return read_only(np.sort(order[::2])), read_only(np.sort(order[1::2]))


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images that a model is scored on, read-only."""

    name: str
    images: np.ndarray  # (N, C, H, W) float32 in [0, 1]
    labels: np.ndarray  # (N,) int64, meaningless to a model of other classes
    checksum: str  # SHA-256 of both arrays, in hexadecimal


def load(
    name: str, *, n_train: int | None = None, part: int = 0, enlarged: int = 1, root: str | Path | None = None
) -> Dataset:
    """Load a data set, or one part of its training split; the second call with equal arguments costs nothing.

    The training split of N images is cut into N // n_train equal stratified parts by one fixed permutation. Parts do
    not overlap, and each keeps the order of the file.

    Args:
        name: "digits" (embedded), "mnist", "fashion_mnist", "cifar10", "pneumoniamnist" or "breastmnist".
        n_train: images in the part, 1 to N; None (or N) for all.
        part: 0 to N // n_train - 1.
        enlarged: rows and columns that each pixel becomes, from 1 on; mean and standard deviation stay as they were.
        root: folder of the image files; None for the variable UFM_DATA, else data/ in the project.

    Raises:
        ValueError: unknown name, or `n_train`, `part` or `enlarged` out of range.
        DataError: the files are missing or damaged (a ValueError too).
    """
    n_total = sources.source(name).n_train
    size = n_total if n_train is None else n_train
    if not isinstance(size, Integral) or not 1 <= size <= n_total:
        raise ValueError(f"n_train must be 1 to {n_total} for {name}, not {n_train!r}")
    if not isinstance(part, Integral) or not 0 <= part < n_total // size:
        raise ValueError(f"part must be 0 to {n_total // size - 1} for {size} images of {name}, not {part!r}")
    _require_times(enlarged)
    return _load(name, None if size == n_total else int(size), int(part), sources.data_root(root), int(enlarged))


def ood_images(
    name: str,
    *,
    shape: tuple[int, int, int] = (1, 28, 28),
    n: int | None = None,
    enlarged: int = 1,
    root: str | Path | None = None,
) -> ImageSet:
    """Load the first `n` training images of another data set, made the shape of the model's inputs.

    Colour becomes grey with the weights 0.2989, 0.587 and 0.114, grey becomes colour by repeating, then images are
    resized bilinearly without antialiasing, in float32, and enlarged as the model's inputs were. The first m of n images
    are those of any other n >= m.

    Args:
        name: a data set that `load` knows, or "photo_patches" (embedded, see `ufm.data.embedded`).
        shape: (C, H, W) with C = 1 or 3.
        n: how many; None for all.
        enlarged: rows and columns that each pixel became of the model's inputs, and becomes of images that fill `shape`.
        root: folder of the image files, as for `load`.

    Raises:
        ValueError: unknown name, `n` out of range, or a shape that is not (1 or 3, H, W) or not of whole squares.
        DataError: the files are missing or damaged (a ValueError too).
    """
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1:
        raise ValueError(f"shape must be (1 or 3, H, W), not {tuple(shape)}")
    n_channels, height, width = shape
    _require_times(enlarged)
    if height % enlarged or width % enlarged:
        raise ValueError(f"shape must be of whole squares of {enlarged} x {enlarged} pixels, not {tuple(shape)}")
    return _ood_images(name, (n_channels, height, width), n, sources.data_root(root), int(enlarged))


def array_checksum(*arrays: np.ndarray) -> str:
    """Return the SHA-256 over the dtypes, shapes and contents of arrays, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _require_times(enlarged: int) -> None:
    """Raise a ValueError unless a pixel can become so many rows and columns."""
    if not isinstance(enlarged, Integral) or enlarged < 1:
        raise ValueError(f"enlarged must be a whole number from 1 on, not {enlarged!r}")


@lru_cache(maxsize=16)
def _load(name: str, n_train: int | None, part: int, root: Path, enlarged: int) -> Dataset:
    arrays = sources.read(name, root)
    n_total = len(arrays.train_labels)
    n_parts = n_total // (n_train or n_total)
    indices, images, labels = np.arange(n_total), arrays.train_images, arrays.train_labels
    if n_train is not None:
        dealt = stratified_order(arrays.train_labels, stream("parts", scope=called(name)))[part::n_parts]
        # The surplus leaves evenly from all classes, for `dealt` is ordered by class.
        indices = np.sort(dealt[np.arange(n_train) * len(dealt) // n_train])
        images, labels = (read_only(array[indices]) for array in (images, labels))
    images, tested = (read_only(enlarge(one, enlarged)) for one in (images, arrays.test_images))
    kept = (images, labels, read_only(indices), tested, arrays.test_labels)
    mean, std = sources.source(name).normalisation or _normalisation(arrays.train_images)
    if min(std) == 0:
        channel = "" if len(std) == 1 else f" in channel {std.index(0)}"
        raise DataError(f"dataset: all pixels of the training images of {name} are alike{channel}; give other images")
    watched = None if arrays.validation_images is None else read_only(enlarge(arrays.validation_images, enlarged))
    validation = watched, arrays.validation_labels
    return Dataset(called(name), n_train, part, n_parts, *kept, mean, std, array_checksum(*kept), *validation)


def _normalisation(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel of uint8 images on [0, 1], to the four digits usual."""
    counts = np.zeros((images.shape[1], 256))
    for some in np.array_split(images, len(images) // 1000 + 1):  # a float for every pixel may not fit into memory
        counts += [np.bincount(some[:, channel].ravel(), minlength=256) for channel in range(images.shape[1])]
    values, share = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
    return tuple(round(float(value), 4) for value in mean), tuple(round(float(value), 4) for value in std)


@lru_cache(maxsize=4)
def _ood_images(name: str, shape: tuple[int, int, int], n: int | None, root: Path, enlarged: int) -> ImageSet:
    if name in sources.SCORED_ON:
        pixels, labels = sources.SCORED_ON[name]()
    elif name in sources.SOURCES or is_folder(name):
        pixels, labels = sources.read(name, root)[:2]
    else:
        raise ValueError(f"unknown images {name!r}: choose from {', '.join([*sources.SCORED_ON, *sources.SOURCES])}")
    size = len(pixels) if n is None else n
    if not isinstance(size, Integral) or not 1 <= size <= len(pixels):
        raise ValueError(f"n_ood must be 1 to {len(pixels)} for {name}, which has no more images, not {n!r}")
    n_channels, height, width = shape
    images = np.empty((size, n_channels, height // enlarged, width // enlarged), dtype=np.float32)
    for start in range(0, size, 1000):  # a thousand at a time stay in the processor's cache
        stop = min(start + 1000, size)
        images[start:stop] = _convert(pixels[start:stop], images.shape[1:])
    images = enlarge(images, enlarged)
    labels = labels[:size].copy()
    return ImageSet(called(name), read_only(images), read_only(labels), array_checksum(images, labels))


def _convert(pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Make uint8 images (N, C, H, W) float32 in [0, 1] of a shape that broadcasts to (N, *shape)."""
    images = pixels.astype(np.float32) / np.float32(255)
    if images.shape[1] == 3 and shape[0] == 1:
        # Element-wise rather than a matrix product: the same bits on every machine.
        red, green, blue = (np.float32(weight) * images[:, i : i + 1] for i, weight in enumerate(GREY_WEIGHTS))
        images = red + green + blue
    return resize_bilinear(images, shape[1:])
