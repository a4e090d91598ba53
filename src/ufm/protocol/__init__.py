"""What one seed means: settings, roles, hosts."""

from ufm.protocol.carriers import Carrier, carried, carriers, check, exchanged, to_forget
from ufm.protocol.experiments import HOSTS, STAMPED, Experiment, Protocol, drawn, is_fixed, overlap, placebo
from ufm.protocol.lots import Lot
from ufm.protocol.settings import (
    EARLY_STOPPING,
    SAME_AGE,
    SGD,
    AdvBN,
    Distillation,
    Erasing,
    Forgetting,
    Private,
    Recall,
    Scoring,
    Tasks,
    Training,
    VisualMixer,
    whole_numbers,
)

__all__ = [
    "AdvBN",
    "Carrier",
    "Distillation",
    "EARLY_STOPPING",
    "Erasing",
    "Experiment",
    "Forgetting",
    "HOSTS",
    "Lot",
    "Private",
    "Protocol",
    "Recall",
    "SAME_AGE",
    "SGD",
    "STAMPED",
    "Scoring",
    "Tasks",
    "Training",
    "VisualMixer",
    "carried",
    "carriers",
    "check",
    "drawn",
    "exchanged",
    "is_fixed",
    "overlap",
    "placebo",
    "to_forget",
    "whole_numbers",
]
