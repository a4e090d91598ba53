"""A stack of models, from initial weights to the best epoch."""

from ufm.training.anonymising import anonymiser
from ufm.training.batches import at_most, size_of
from ufm.training.capacity import estimate, stack_size
from ufm.training.epoch import train_epoch
from ufm.training.evaluation import evaluate, evaluate_stack, log_probabilities
from ufm.training.feed import AUGMENTATION_LAYER, Feed, as_handed_over, as_stamped, stamped_images
from ufm.training.layers import Alone, Layer, stacked
from ufm.training.loop import train
from ufm.training.members import keys, network, stack_of
from ufm.training.optimiser import SGD, Adam, Optimiser, of_settings, optimiser_of
from ufm.training.stack import Stack
from ufm.training.trained import Trained
from ufm.training.visual_mixer import as_asked
from ufm.training.weights import Weights

__all__ = [
    "AUGMENTATION_LAYER",
    "Adam",
    "Alone",
    "Feed",
    "Layer",
    "Optimiser",
    "SGD",
    "Stack",
    "Trained",
    "Weights",
    "anonymiser",
    "as_asked",
    "as_handed_over",
    "as_stamped",
    "at_most",
    "estimate",
    "evaluate",
    "evaluate_stack",
    "keys",
    "log_probabilities",
    "network",
    "of_settings",
    "optimiser_of",
    "size_of",
    "stack_of",
    "stack_size",
    "stacked",
    "stamped_images",
    "train",
    "train_epoch",
]
