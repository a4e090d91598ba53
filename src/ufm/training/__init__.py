"""A stack of models, from initial weights to the best epoch."""

from ufm.training.augmentation import N_DRAWS, augment
from ufm.training.capacity import COPIES, LONG_STEP, estimate, seconds_an_image, stack_size
from ufm.training.evaluation import EVALUATED, cross_entropies, evaluate, evaluate_stack, log_probabilities
from ufm.training.feed import AUGMENTATION_LAYER, Feed, keys, stamped_images
from ufm.training.loop import Trained, controls_of, train, train_stack
from ufm.training.optimiser import SGD, Adam, optimiser_of
from ufm.training.stack import Stack
from ufm.training.steps import loaded, network, train_epoch

__all__ = [
    "AUGMENTATION_LAYER",
    "Adam",
    "COPIES",
    "EVALUATED",
    "Feed",
    "LONG_STEP",
    "N_DRAWS",
    "SGD",
    "Stack",
    "Trained",
    "augment",
    "controls_of",
    "cross_entropies",
    "estimate",
    "evaluate",
    "evaluate_stack",
    "keys",
    "loaded",
    "log_probabilities",
    "network",
    "optimiser_of",
    "seconds_an_image",
    "stack_size",
    "stamped_images",
    "train",
    "train_epoch",
    "train_stack",
]
