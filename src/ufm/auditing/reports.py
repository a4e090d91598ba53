"""The audit of one model by a registry of marks, in the mode that is exact."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch

from ufm.auditing.journals import Journal
from ufm.auditing.pools import Gives, Predict, pool
from ufm.evidence.coins import DELTA, Privacy, privacy
from ufm.evidence.exact import Combined, Place, combined, mark_p_values
from ufm.evidence.marks import NotAuditable, Pool
from ufm.evidence.power import Power, power
from ufm.marks import Registry


@dataclass(frozen=True)
class MarkResult:
    """What is said of one planted mark alone."""

    mark: int
    image: str
    label: int | None
    p: float  # rank among the marks that were never stamped, the label unknown
    p_known: float | None  # the same, the label known


@dataclass(frozen=True)
class AuditReport:
    """What a model says of the marks of a registry. p-values are exact whatever the model, and one-sided."""

    seal: str  # of the registry
    level: float
    unknown: Combined  # without the labels of the images
    known: Combined | None  # with them, where every planted mark's is said
    marks: tuple[MarkResult, ...]
    n_images: int
    n_unused: int
    n_queries: int
    power: Power | None  # of the test that decides; None where no unused draw moves the model otherwise than another
    privacy: Privacy | None  # from coins that decided about one image each
    no_privacy: str  # why there is none, in words

    @property
    def p(self) -> float:
        """The p-value that decides, with the labels where they are known, else without."""
        return (self.known or self.unknown).p

    @property
    def found(self) -> bool:
        """Whether the marks are found, as they are in at most that share of models that depend on none of them."""
        return self.p <= self.level


def audit(
    predict: Predict,
    registry: Registry,
    images: torch.Tensor,
    *,
    gives: Gives,
    n_classes: int | None = None,
    n_unused: int = 400,
    level: float = 0.05,
    delta: float = DELTA,
    batch_size: int = 1_000,
    journal: Journal | None = None,
) -> AuditReport:
    """Ask whether a model was trained on images that carry the marks of a registry.

    Args:
        predict: of float images (n, C, H, W) in [0, 1], n at most `batch_size`, the outputs (n, n_classes).
        registry: whose marks were drawn before the model was trained, and which says on what they were stamped.
        images: (n_images, C, H, W), floating in [0, 1], of any kind; those of the training set are not needed.
        gives: what the outputs are: probabilities, also rounded ones, logits or a class alone.
        n_classes: how many classes there are, where the outputs do not tell.
        n_unused: marks that were never stamped, with which the planted ones are compared.
        level: the share of models that were not trained with the marks, of which it is said all the same.
        delta: of (ε, δ)-differential privacy, for which a bound on ε is given where coins decided about one image each.
        batch_size: images that are sent at once.
        journal: of what is answered, which may hold the first of it already.

    Raises:
        ValueError: no mark was planted, a label that is no class of the model, too few unused marks for the level, δ
            outside (0, 1), or what `ufm.auditing.pool` refuses.
        NotAuditable: no mark moves the outputs, or so few do that no choice of marks could be found at the level.
    """
    planted = np.array([one.mark for one in registry.planted], int)
    if not len(planted):
        raise ValueError("registry: no mark was planted, so there is nothing to look for")
    if 1 / (1 + n_unused) > level:
        needed = ceil(1 / level) - 1
        raise ValueError(f"n_unused: {n_unused} cannot give a p-value of {level:g}; it takes {needed}")
    if not 0 < delta < 1:
        raise ValueError(f"delta: must lie between 0 and 1, not {delta:g}")
    marks = np.concatenate([registry.marks(), registry.unused(n_unused)])
    asked = pool(
        predict,
        marks,
        images,
        gives=gives,
        n_classes=n_classes,
        position=registry.position,
        batch_size=batch_size,
        journal=journal,
        labels={f", of {one.image},": one.label for one in registry.given()},
    )
    kept = np.setdiff1d(np.arange(len(marks)), planted)  # by coin or beyond the lot, the model never saw them
    unknown = Place(np.tile(asked.unknown, (len(planted), 1)), planted, kept)
    labels, known = [one.label for one in registry.planted], None
    if None not in labels:
        known = Place(asked.known[:, np.array(labels, int)].T, planted, kept)
    together = combined([unknown]), None if known is None else combined([known])
    decides = together[1] or together[0]
    slope = None if gives == "class" or known is None else asked.slope[np.array(labels, int)]
    if decides.smallest > level:
        raise NotAuditable(
            f"predict: so few of {len(marks)} marks move the outputs that even those that do most would have a p of "
            f"{decides.smallest:.2g}, above {level:g}; plant more marks, or ask for probabilities of more digits"
        )
    alone = mark_p_values(unknown), [None] * len(planted) if known is None else mark_p_values(known).tolist()
    results = zip(registry.planted, alone[0].tolist(), alone[1], strict=True)
    return AuditReport(
        registry.seal,
        level,
        *together,
        tuple(MarkResult(one.mark, one.image, one.label, p, p_known) for one, p, p_known in results),
        len(images),
        n_unused,
        asked.n_queries,
        power(known or unknown, level, slope),
        *by_coins(registry, asked, level, delta),
    )


def by_coins(registry: Registry, asked: Pool, level: float, delta: float) -> tuple[Privacy | None, str]:
    """Bounds on privacy parameters, or why there are none.

    The score of a mark knows nothing of its coin: how far it lies above the mean of draws that are not of the lot, seen
    under the label under which its image was handed over in either case, in their standard deviations.
    """
    given, why = registry.given(), registry.no_bound()
    if why:
        return None, why
    marks, labels = np.array([one.mark for one in given]), [one.label for one in given]
    if None in labels:
        scores, unused = asked.unknown[marks], asked.unknown[registry.n :, None]
    else:
        scores, unused = asked.known[marks, np.array(labels, int)], asked.known[registry.n :, np.array(labels, int)]
    spread = unused.std(0, ddof=1)
    scores = (scores - unused.mean(0)) / np.where(spread > 0, spread, 1)
    found = privacy(scores, registry.to_plant()[marks], level=level, delta=delta)
    return found, "" if found else "it takes two coins to guess any"
