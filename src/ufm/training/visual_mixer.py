"""VisualMixer (Li et al. 2024, arXiv 2404.04098): pixels of an image shuffled within boxes, channel by channel.

As in the released code, but that every image is judged by itself, where that one takes the means of a batch, that its
pixels are not weighted by the attention, and that entropy knows no pixels beyond the box. No gradient reaches the
attention there, so that it keeps the weights that it is drawn with.
"""

import torch
from torch.nn import functional as f

from ufm.data.datasets import Dataset
from ufm.data.on_device import channels
from ufm.protocol import VisualMixer
from ufm.randomness import counters
from ufm.randomness.streams import stream

ATTENTION = (0.1, 0.5, 0.9)  # scores, above which a box has the next number of pieces
KERNEL = 7  # rows and columns of the attention's convolution


def shuffled(images: torch.Tensor, draws: torch.Tensor, settings: VisualMixer, data: Dataset) -> torch.Tensor:
    """Normalised images (…, C, H, W) of whole boxes, the pieces of each box in another order.

    draws: (…, C, H, W), uniform on [0, 1); pieces are ordered by those of their first pixels.
    """
    numbers = {n for row in settings.pieces for n in row}
    if len(numbers) == 1:
        return in_pieces(images, draws, settings.box, *numbers)
    pieces = pieces_of(images, settings, data).repeat_interleave(settings.box, -1)
    pieces, found = pieces.repeat_interleave(settings.box, -2)[..., None, :, :], images
    for n in sorted(numbers - {1}):
        found = torch.where(pieces == n, in_pieces(images, draws, settings.box, n), found)
    return found


def in_pieces(images: torch.Tensor, draws: torch.Tensor, box: int, n: int) -> torch.Tensor:
    """The images with every box cut into n × n pieces, whatever it shows."""
    size, (images, draws) = box // n, torch.broadcast_tensors(images, draws)
    order = cut(draws, box, size)[..., 0].argsort(stable=True)
    moved = torch.take_along_dim(cut(images, box, size), order[..., None], -2)  # (…, rows, columns, n², size²)
    rows = moved.unflatten(-1, (size, size)).unflatten(-3, (n, n))  # of boxes, of pieces in one, of pixels in one
    return rows.movedim((-6, -4, -2, -5, -3, -1), (-6, -5, -4, -3, -2, -1)).flatten(-6, -4).flatten(-3)


def cut(images: torch.Tensor, box: int, size: int) -> torch.Tensor:
    """Pixels (…, rows of boxes, columns of boxes, pieces of a box, pixels of a piece) of images (…, H, W)."""
    apart = images.unflatten(-1, (-1, box // size, size)).unflatten(-4, (-1, box // size, size))
    return apart.movedim((-6, -3, -5, -2, -4, -1), (-6, -5, -4, -3, -2, -1)).flatten(-2).flatten(-3, -2)


def pieces_of(images: torch.Tensor, settings: VisualMixer, data: Dataset) -> torch.Tensor:
    """Into how many pieces a side each box of normalised images is cut, (…, rows of boxes, columns of boxes)."""
    _, std = channels(data, images)
    row = torch.bucketize(entropy(images * std, settings.box), images.new_tensor(settings.entropy), right=True)
    column = torch.bucketize(attention(images, settings.box), torch.tensor(ATTENTION, device=images.device))
    return torch.tensor(settings.pieces, device=images.device)[row[..., None, None], column]


def entropy(images: torch.Tensor, box: int) -> torch.Tensor:
    """Visual feature entropy (…) of images (…, C, H, W) in [0, 1] up to a constant.

    The sum over a box of squared differences between neighbours in a row and in a column, in the mean over boxes.
    """
    rows, columns = (images.diff(dim=axis).square() for axis in (-2, -1))
    for differences, axis in ((rows, -2), (columns, -1)):
        differences.index_fill_(axis, torch.arange(box - 1, differences.shape[axis], box, device=images.device), 0)
    n_boxes = images.shape[-3] * (images.shape[-2] // box) * (images.shape[-1] // box)
    return (rows.sum((-1, -2, -3)) + columns.sum((-1, -2, -3))) / n_boxes


def attention(images: torch.Tensor, box: int) -> torch.Tensor:
    """Score of each box of normalised images (…, C, H, W), from 0 to 1 for the least and the most of its image.

    Spatial attention (Woo et al. 2018, doi 10.1007/978-3-030-01234-2_1) in the mean over a box.
    """
    x = torch.stack([images.mean(-3), images.amax(-3)], -3).float()  # in float64 a convolution takes ten times as long
    maps = f.conv2d(x.flatten(0, -4), kernel().to(x), padding=KERNEL // 2).sigmoid()
    means = f.avg_pool2d(maps, box)[:, 0].unflatten(0, images.shape[:-3])
    low, high = means.amin((-1, -2), keepdim=True), means.amax((-1, -2), keepdim=True)
    return (means - low) / (high - low).clamp(min=torch.finfo(means.dtype).tiny)


def kernel() -> torch.Tensor:
    """Weights (1, 2, 7, 7) of the attention, the same for all seeds, drawn as torch draws those of a convolution."""
    limit = (2 * KERNEL**2) ** -0.5
    return torch.from_numpy(stream("visual mixer, attention").uniform(-limit, limit, (1, 2, KERNEL, KERNEL)))


def as_asked(images: torch.Tensor, settings: VisualMixer | None, data: Dataset) -> torch.Tensor:
    """Normalised images (n_images, C, H, W) as those who use a network give them to it: shuffled once for all models.

    Without settings they stay as they are.
    """
    if settings is None:
        return images
    key = torch.tensor([counters.key("visual mixer, asked", seed=0, scope=data.scope)], device=images.device)
    draws = counters.uniforms(key, step=0, layer=0, n=images.numel()).view(images.shape)
    return shuffled(images, draws, settings, data)
