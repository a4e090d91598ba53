"""The audit of one model by a registry of marks, in the mode that is exact."""

from dataclasses import replace
from math import ceil

import numpy as np
import torch

from ufm.auditing.journals import Journal
from ufm.auditing.pools import Gives, Predict, pool
from ufm.auditing.reports import AuditReport, reported
from ufm.evidence.coins import DELTA
from ufm.evidence.looks import looks, told
from ufm.evidence.marks import NotAuditable
from ufm.marks import Registry


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
    stop_early: bool = False,
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
        stop_early: whether to look at few of the unused marks first, see `ufm.evidence.looks`.
        batch_size: images that are sent at once.
        journal: of what is answered, which may hold the first of it already.

    Raises:
        ValueError: no mark was planted, a label that is no class of the model, too few unused marks for the level, δ
            outside (0, 1), or what `ufm.auditing.pool` refuses.
        NotAuditable: no mark moves the outputs, or so few do that no choice of marks could be found at the level.
    """
    some = looks(n_unused) if stop_early else (n_unused,)
    if not registry.planted:
        raise ValueError("registry: no mark was planted, so there is nothing to look for")
    if len(some) / (1 + n_unused) > level:
        needed = ceil(len(some) / level) - 1
        raise ValueError(f"n_unused: {n_unused} cannot give a p-value of {level:g}; it takes {needed}")
    if not 0 < delta < 1:
        raise ValueError(f"delta: must lie between 0 and 1, not {delta:g}")
    journal = Journal() if journal is None else journal
    for number, n in enumerate(some):
        again = number * (1 + len(images))  # each look asks about the images as they are once more
        try:
            asked = pool(
                predict,
                np.concatenate([registry.marks(), registry.unused(n)]),
                images,
                gives=gives,
                n_classes=n_classes,
                position=registry.position,
                batch_size=batch_size,
                journal=journal,
                labels={f", of {one.image},": one.label for one in registry.given()},
            )
            asked = replace(asked, n_queries=asked.n_queries + again)
            report = reported(registry, asked, n, len(images), level, delta, len(some), in_nats=gives != "class")
            require_auditable(report, registry.n + n)
        except NotAuditable:
            if n == n_unused:
                raise
            continue  # all draws may tell what few do not
        if stop_early and told(report.p, level, len(some)):
            break
    return report


def require_auditable(report: AuditReport, n_marks: int) -> None:
    """Raise NotAuditable where no choice of these marks could have been found."""
    decides = report.known or report.unknown
    if decides.smallest > report.level:
        raise NotAuditable(
            f"predict: so few of {n_marks} marks move the outputs that even those that do most would have a p of "
            f"{decides.smallest:.2g}, above {report.level:g}; plant more marks, or ask for probabilities of more digits"
        )
