"""What is asked of a model: its outputs on images as they are, and with a patch over one rectangle of them.

Scores, shifts and detectors need no more of it. `ufm.measures.patched.Patched` gives it of a network whose layers are
known, and `BlackBox` of anything that answers queries.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from numpy.typing import ArrayLike

from ufm import features
from ufm.scores import SUM_TOLERANCE


class Response(Protocol):
    """A model's outputs on images of which one rectangle is overwritten, up to a constant an image.

    They are logits or log-probabilities, between which nothing that is made of them tells.
    """

    clean: torch.Tensor  # (n_images, n_classes), on the images as they are

    def logits(self, patches: torch.Tensor) -> torch.Tensor:
        """Outputs (n_patches, n_images, n_classes) with the rectangle overwritten by each patch.

        patches: (n_patches, 1 or C, h, w) in [0, 1] or NaN, where each image's own pixel stays, for all images; or
        (n_patches, n_images, 1 or C, h, w), one for each image.
        """


class BlackBox:
    """A `Response` of a model of which nothing is known but what it answers."""

    def __init__(
        self,
        predict: Callable[[torch.Tensor], ArrayLike],
        images: torch.Tensor,
        *,
        gives: Literal["probabilities", "logits"],
        position: tuple[int, int] = (1, 1),
        shape: tuple[int, int] = (5, 5),
        batch_size: int = 1_000,
    ):
        """Ask for the outputs on the images as they are.

        Args:
            predict: of float images (n, C, H, W) in [0, 1], n at most `batch_size`, the outputs (n, n_classes). At the
                next call other images lie in the same memory, so that it keeps none and changes none.
            images: (n_images, C, H, W), floating in [0, 1].
            gives: what the outputs are; log-probabilities are logits too.
            position: row and column of the rectangle's top-left pixel.
            shape: its height and width.
            batch_size: images that are sent at once.

        Raises:
            ValueError: images are none of these, the rectangle reaches outside them, `predict` changes its images, or
                an answer, here or later, is not what was said: of another shape, not finite, or of probabilities that
                do not sum to 1 or were rounded to zero, whose logarithm is lost.
        """
        if gives not in ("probabilities", "logits"):
            raise ValueError(f"gives: {gives!r} is not one of probabilities, logits")
        if not images.is_floating_point() or not (images.min() >= 0 and images.max() <= 1):
            raise ValueError("images: must be floating in [0, 1], before any normalisation")
        self.predict, self.images, self.gives, self.batch_size = predict, images, gives, batch_size
        features.insert(images[:1], torch.zeros(shape), position=position)  # raises where it reaches outside
        self.shape, (top, left) = shape, position
        self.rectangle = (..., slice(top, top + shape[0]), slice(left, left + shape[1]))
        self.room = images.repeat(max(1, batch_size // len(images)), *[1] * images.dim())  # copies, one a patch
        self.clean = self.ask(images)
        if not images.equal(self.room[0]):
            raise ValueError("predict: writes into the images that it is given; let it work on a copy")

    def logits(self, patches: torch.Tensor) -> torch.Tensor:
        """Log-probabilities or logits (n_patches, n_images, n_classes) in float64, as a `Response` has them."""
        if tuple(patches.shape[-2:]) != tuple(self.shape):
            raise ValueError(f"patches: are {tuple(patches.shape[-2:])} pixels, the rectangle is {tuple(self.shape)}")
        found = []
        for few in patches.split(len(self.room)):
            for place, patch in enumerate(few):
                # Nothing else ever differs from the images: copies of whole ones take a fifth of the time.
                stamped = features.insert(self.images[self.rectangle], patch, position=(0, 0))
                self.room[place][self.rectangle] = stamped
            found.append(self.ask(self.room[: len(few)].flatten(0, 1)).unflatten(0, (len(few), len(self.images))))
        return torch.cat(found)

    @torch.no_grad()
    def ask(self, images: torch.Tensor) -> torch.Tensor:
        """Log-probabilities or logits (n, n_classes) of images (n, C, H, W)."""
        return torch.cat([self.checked(self.predict(batch), len(batch)) for batch in images.split(self.batch_size)])

    def checked(self, answer: ArrayLike, n_images: int) -> torch.Tensor:
        """An answer to so many images as log-probabilities or logits in float64."""
        outputs = torch.as_tensor(answer, dtype=torch.float64, device=self.images.device).clone()  # lest it is a view
        if outputs.dim() != 2 or len(outputs) != n_images:
            raise ValueError(f"predict: gave outputs of shape {tuple(outputs.shape)} for {n_images} images")
        if not outputs.isfinite().all():
            raise ValueError("predict: gave NaN or infinite values")
        if self.gives == "logits":
            return outputs
        if (outputs < 0).any() or ((outputs.sum(1) - 1).abs() > SUM_TOLERANCE).any():
            raise ValueError("predict: gave what are no probabilities; are they logits?")
        if (outputs == 0).any():
            raise ValueError("predict: gave a probability that was rounded to zero; ask for logits or more digits")
        return outputs.log()
