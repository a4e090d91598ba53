"""FALCO (Barattin et al. 2023, arXiv 2303.11296) on small networks: what stands in the place of training images.

There the generator is StyleGAN2, identity what a network sees that tells faces apart, and attributes what one sees that
was trained with captions. Here all three were trained on images of another part of the data set, with their labels: the
generator is a variational autoencoder (Kingma and Welling 2014, arXiv 1312.6114), identity the mean code of an image,
and attributes the hidden layer of a classifier. All of a code is moved, for it has no layers of which some could stay.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as f
from torch.optim.lr_scheduler import MultiStepLR

from ufm.data.datasets import Dataset
from ufm.data.on_device import floats
from ufm.networks import MLP
from ufm.networks.build import build
from ufm.protocol import Falco
from ufm.randomness.streams import stream

HIDDEN, CODE = 400, 20  # units of each network's hidden layer, numbers of a code
EPOCHS, BATCH, LEARNING_RATE = 20, 128, 1e-3  # of the generator and the classifier, by Adam
MILESTONES, DECAY = (0.75, 0.9), 0.8  # shares of the steps, from which on the rate is so many times the one before
CHUNK = 500  # images that are replaced at once


@dataclass(frozen=True, eq=False)
class Anonymiser:
    """Networks that were trained on other images, and generated ones with their codes and attributes."""

    settings: Falco
    encoder: nn.Sequential  # from images to means and log-variances of codes
    decoder: nn.Sequential
    classifier: nn.Sequential  # whose hidden layer has the attributes
    codes: torch.Tensor  # (n_fakes, CODE)
    attributes: torch.Tensor  # (n_fakes, HIDDEN) of unit length

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """What stands in the place of images (n, C, H, W) in [0, 1], each for itself."""
        return torch.cat([self.replaced(some) for some in images.split(CHUNK)])

    def identity(self, images: torch.Tensor) -> torch.Tensor:
        """Mean codes (n, CODE)."""
        return self.encoder(images)[:, :CODE]

    def attributes_of(self, images: torch.Tensor) -> torch.Tensor:
        """Attributes (n, HIDDEN)."""
        return self.classifier[:-1](images)

    def replaced(self, images: torch.Tensor) -> torch.Tensor:
        """The same, all at once."""
        settings = self.settings
        with torch.no_grad():
            identity, attributes = self.identity(images), self.attributes_of(images)
            near = (f.normalize(attributes) @ self.attributes.T).argmax(1)
        codes = self.codes[near].clone().requires_grad_()
        optimiser = torch.optim.Adam([codes], lr=settings.learning_rate)
        schedule = MultiStepLR(optimiser, [int(share * settings.steps) for share in MILESTONES], DECAY)
        for _ in range(settings.steps):
            found = self.decoder(codes).view_as(images)
            like = (f.cosine_similarity(self.identity(found), identity) - settings.margin).abs()
            moved = (self.attributes_of(found) - attributes).abs().sum(1)
            loss = (settings.identity * like + settings.attributes * moved).sum()
            [codes.grad] = torch.autograd.grad(loss, [codes])
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            return self.decoder(codes).view_as(images)


def anonymiser(settings: Falco, public: Dataset, *, device: torch.device, dtype: torch.dtype) -> Anonymiser:
    """Train the networks on the training images of `public`, and generate images with them."""
    images, labels = floats(public.train_images, device, dtype), torch.tensor(public.train_labels, device=device)
    n_channels, height, width = shape = public.train_images.shape[1:]
    draws = stream("anonymiser", seed=public.part, scope=public.scope)

    def network(name: str, shape: tuple[int, int, int], n_out: int) -> nn.Sequential:
        scope = f"{public.scope}/{name}"
        return build(MLP((HIDDEN,)), shape, n_out, seed=public.part, scope=scope, device=str(device), dtype=dtype)

    def normal(n: int) -> torch.Tensor:
        return torch.from_numpy(draws.standard_normal((n, CODE))).to(images)

    encoder = network("encoder", shape, 2 * CODE)
    decoder = network("decoder", (1, 1, CODE), n_channels * height * width).append(nn.Sigmoid())
    classifier = network("classifier", shape, public.n_classes)
    optimiser = torch.optim.Adam(
        [*encoder.parameters(), *decoder.parameters(), *classifier.parameters()], LEARNING_RATE
    )
    for _ in range(EPOCHS):
        for batch in torch.from_numpy(draws.permutation(len(images))).to(device).split(BATCH):
            seen, told = images[batch], labels[batch]
            mean, log_variance = encoder(seen).chunk(2, 1)
            again = decoder(mean + normal(len(batch)) * (log_variance / 2).exp())
            divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
            loss = f.binary_cross_entropy(again, seen.flatten(1), reduction="sum") + divergence
            # The two share no weight, so that one optimiser does what two would.
            loss = loss / len(batch) + f.cross_entropy(classifier(seen), told)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for one in (encoder, decoder, classifier):
        one.requires_grad_(False)
    codes = normal(settings.fakes)
    fakes = (decoder(some).view(-1, *shape) for some in codes.split(CHUNK))
    attributes = torch.cat([f.normalize(classifier[:-1](some)) for some in fakes])
    return Anonymiser(settings, encoder, decoder, classifier, codes, attributes)
