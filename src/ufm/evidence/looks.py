"""An audit that may stop early: it looks at few of the unused draws first, and at all of them if that tells nothing.

Every p is multiplied by the number of looks. By the union bound it is then at most a level in at most that share of
models that depend on no mark, at whichever look it is read and why ever it was stopped there: it is always valid
(Johari et al., Operations Research 70, 2022). Sequential Monte Carlo p-values (Besag and Clifford, Biometrika 78, 1991)
would take as many unused marks for each draw as were planted; a test martingale over the ranks of marks, one after
another, was in simulations far from finding as much, for what is few here are the planted marks.
"""

from dataclasses import replace

from ufm.evidence.exact import Combined

SHARE = 8  # the first look is at one in so many of the unused draws
HOPELESS = 0.2  # a p at the first look, before it is multiplied, above which no second one is taken


def looks(n_unused: int) -> tuple[int, int]:
    """How many unused draws each look is at."""
    return max(1, n_unused // SHARE), n_unused


def multiplied(p: float, times: int) -> float:
    """A p-value that is one of so many."""
    return min(1.0, times * p)


def adjusted(found: Combined, times: int) -> Combined:
    """What planted marks say at one of so many looks."""
    return replace(found, p=multiplied(found.p, times), smallest=multiplied(found.smallest, times))


def told(p: float, level: float, times: int) -> bool:
    """Whether a p, multiplied already, says enough: the marks are found, or hardly could be."""
    return p <= level or p > times * HOPELESS
