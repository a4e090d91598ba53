"""Images that come with scikit-learn, made the size of the others: nothing has to be downloaded."""

import numpy as np

from ufm.data.arrays import Arrays, resize_bilinear
from ufm.data.sources import SCORED_ON, SOURCES, Source
from ufm.randomness.streams import stratified_order, stream


def digits() -> Arrays:
    """Make scikit-learn's 1797 digits of 8 x 8 pixels MNIST's size: 20 x 20 in a black frame of 4 pixels.

    The frame matters: the letter lies on pixels that are constant in training, as on MNIST.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    digits = np.rint(resize_bilinear(pixels.reshape(-1, 1, 8, 8), (20, 20)) * 255 / 16).astype(np.uint8)
    images, labels = np.pad(digits, ((0, 0), (0, 0), (4, 4), (4, 4))), labels.astype(np.int64)
    order = stratified_order(labels, stream("test split", scope="digits"))
    test = np.zeros(len(labels), dtype=bool)
    test[order[np.arange(597) * len(labels) // 597]] = True
    return Arrays(images[~test], labels[~test], images[test], labels[test])


def photo_patches() -> tuple[np.ndarray, np.ndarray]:
    """Cut scikit-learn's two photographs, a temple and a flower, into 1950 half-overlapping patches.

    Returns:
        Patches, uint8 (1950, 3, 32, 32), and labels, int64 (1950,): the tenth of the photograph's height a patch lies
        in, 0 at the top to 9, a label without meaning for any model. Photographs alternate and the patches of each come
        in a fixed random order, so that every prefix is varied.
    """
    from sklearn.datasets import load_sample_images

    patches: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for photograph in load_sample_images().images:  # (427, 640, 3)
        windows = np.lib.stride_tricks.sliding_window_view(photograph, (32, 32), axis=(0, 1))[::16, ::16]
        rows, columns = windows.shape[:2]
        order = stream("patches", scope=f"photograph {len(patches)}").permutation(rows * columns)
        patches.append(windows.reshape(-1, 3, 32, 32)[order])
        labels.append(order // columns * 10 // rows)
    return np.stack(patches, 1).reshape(-1, 3, 32, 32), np.stack(labels, 1).ravel().astype(np.int64)


def photographs() -> Arrays:
    """The patches of `photo_patches` as images to train on, 1536 and 414 for testing; labels as there, ten of them.

    Patches overlap by half, so that test images resemble training ones more than in a data set of separate images.
    """
    pixels, labels = photo_patches()
    return Arrays(pixels[:1536], labels[:1536], pixels[1536:], labels[1536:])


SOURCES["digits"] = Source("Digits", 1_200, (1, 28, 28), lambda contents: digits())
SOURCES["photographs"] = Source("Photographs", 1_536, (3, 32, 32), lambda contents: photographs())
SCORED_ON["photo_patches"] = photo_patches
