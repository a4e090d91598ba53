"""What one seed means: settings, roles, hosts."""

from ufm.protocol.carriers import carriers, check, exchanged
from ufm.protocol.experiments import HOSTS, STAMPED, Experiment, Protocol, drawn, is_fixed, overlap, placebo
from ufm.protocol.settings import EARLY_STOPPING, SAME_AGE, SGD, Scoring, Training, whole_numbers

__all__ = [
    "EARLY_STOPPING",
    "Experiment",
    "HOSTS",
    "Protocol",
    "SAME_AGE",
    "SGD",
    "STAMPED",
    "Scoring",
    "Training",
    "carriers",
    "check",
    "drawn",
    "exchanged",
    "is_fixed",
    "overlap",
    "placebo",
    "whole_numbers",
]
