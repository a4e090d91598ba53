"""What an audit by a registry of marks says, in the mode that is exact."""

from dataclasses import dataclass, replace

import numpy as np

from ufm.evidence.coins import Privacy, privacy
from ufm.evidence.exact import Combined, Place, combined, mark_p_values
from ufm.evidence.looks import adjusted, multiplied
from ufm.evidence.marks import Pool
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
    n_unused: int  # that were asked
    n_queries: int
    power: Power | None  # of the test that decides; None where no unused draw moves the model otherwise than another
    privacy: Privacy | None  # from coins that decided about one image each
    no_privacy: str  # why there is none, in words
    looks: int  # by how many every p is multiplied, since the audit might have stopped at each

    @property
    def p(self) -> float:
        """The p-value that decides, with the labels where they are known, else without."""
        return (self.known or self.unknown).p

    @property
    def found(self) -> bool:
        """Whether the marks are found, as they are in at most that share of models that depend on none of them."""
        return self.p <= self.level


def reported(
    registry: Registry,
    asked: Pool,
    n_unused: int,
    n_images: int,
    level: float,
    delta: float,
    n_looks: int = 1,
    *,
    in_nats: bool = True,
) -> AuditReport:
    """What a model's scores say of the marks of a registry and so many more that were never stamped."""
    planted = np.array([one.mark for one in registry.planted], int)
    kept = np.setdiff1d(np.arange(registry.n + n_unused), planted)  # by coin or beyond the lot: not seen
    unknown = Place(np.tile(asked.unknown, (len(planted), 1)), planted, kept)
    labels, known = [one.label for one in registry.planted], None
    if None not in labels:
        known = Place(asked.known[:, np.array(labels, int)].T, planted, kept)
    slope = asked.slope[np.array(labels, int)] if in_nats and known is not None else None
    alone = [multiplied(p, n_looks) for p in mark_p_values(unknown).tolist()]
    alone_known: list[float | None] = [None] * len(planted)
    if known is not None:
        alone_known = [multiplied(p, n_looks) for p in mark_p_values(known).tolist()]
    results = zip(registry.planted, alone, alone_known, strict=True)
    return AuditReport(
        registry.seal,
        level,
        adjusted(combined([unknown]), n_looks),
        None if known is None else adjusted(combined([known]), n_looks),
        tuple(MarkResult(one.mark, one.image, one.label, p, p_known) for one, p, p_known in results),
        n_images,
        n_unused,
        asked.n_queries,
        power(known or unknown, level / n_looks, slope),
        *by_coins(registry, asked, level, delta, n_looks),
        n_looks,
    )


def by_coins(
    registry: Registry, asked: Pool, level: float, delta: float, n_looks: int = 1
) -> tuple[Privacy | None, str]:
    """Bounds on privacy parameters, or why there are none; each look, of which coins choose one, has its part of level.

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
    found = privacy(scores, registry.to_plant()[marks], level=level / n_looks, delta=delta)
    return (replace(found, level=level), "") if found else (None, "it takes two coins to guess any")
