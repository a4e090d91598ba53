"""From numbers to inference: pure functions of arrays."""

from ufm.statistics.checks import BATCH, FEWEST_DRAWS, finite_sample, require_confidence, require_draws
from ufm.statistics.intervals import (
    Interval,
    bootstrap_interval,
    bootstrap_over_seeds,
    bootstrap_t_interval,
    correlation_interval,
    mean_interval,
    share_interval,
)
from ufm.statistics.multiplicity import benjamini_hochberg, holm, single_models
from ufm.statistics.power import seeds_needed, smallest_detectable, smallest_rise
from ufm.statistics.privacy import epsilon_bound, epsilon_of_gaussian, gaussian_bound, guessing_p_value
from ufm.statistics.summaries import SUMMARY_COLUMNS, columns, summary
from ufm.statistics.tests import permutation_p_value, sign_flip_test

__all__ = [
    "BATCH",
    "FEWEST_DRAWS",
    "Interval",
    "SUMMARY_COLUMNS",
    "benjamini_hochberg",
    "bootstrap_interval",
    "bootstrap_over_seeds",
    "bootstrap_t_interval",
    "columns",
    "correlation_interval",
    "epsilon_bound",
    "epsilon_of_gaussian",
    "finite_sample",
    "gaussian_bound",
    "guessing_p_value",
    "holm",
    "mean_interval",
    "permutation_p_value",
    "require_confidence",
    "require_draws",
    "seeds_needed",
    "share_interval",
    "sign_flip_test",
    "single_models",
    "smallest_detectable",
    "smallest_rise",
    "summary",
]
