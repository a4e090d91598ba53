"""What a way of training costs: accuracy and passes of the models that carry something stamped."""

import numpy as np

from ufm.data.sources import source
from ufm.evidence.cards import Cards


def accuracies(cards: Cards, host: str) -> np.ndarray:
    """Accuracy (n_seeds,) on test images that early stopping did not see, mean over a kind of host's stamped models."""
    return np.mean([of_models(cards, role, host, "accuracy") for role in cards.protocol.roles], 0)


def passes(cards: Cards, host: str) -> np.ndarray:
    """Images (n_seeds,) that are taken back through a model, mean over the stamped models of a kind of host.

    In training and fine-tuning, and in forgetting as it was at its own best epoch. One that AdvBN takes
    back as far as the features that it perturbs is counted whole. Of models that learn in tasks, tasks are taken to
    have as many images each; through the network and its past, what is recalled is taken back in every step.
    """
    return np.mean([of_role(cards, role, host) for role in cards.protocol.roles], 0)


def of_role(cards: Cards, role: str, host: str) -> np.ndarray:
    """The same of the models of one role."""
    n_images = cards.protocol.n_train or source(cards.protocol.dataset).n_train
    tasks = cards.protocol.training.tasks
    if tasks:
        seen, again = n_images * tasks.passes, 2 * tasks.recall.steps + 2 if tasks.recall else 0
        return np.full(len(cards.seeds), seen + seen * (tasks.n - 1) / tasks.n * again)
    trained = of_models(cards, role, host, "epochs") * n_images
    forgetting, adv_bn = cards.protocol.training.forgetting, cards.protocol.training.adv_bn
    if adv_bn:
        return trained + adv_bn.epochs * n_images * adv_bn.passes if adv_bn.epochs else trained * adv_bn.passes
    if forgetting is None:
        return trained
    attacks = forgetting.adversarial * forgetting.iterations
    steps = of_models(cards, role, host, "forgetting_steps")
    return trained + attacks + (forgetting.importance > 0) + steps * (1 + forgetting.adversarial)


def of_models(cards: Cards, role: str, host: str, column: str) -> np.ndarray:
    """A column of the table of models, (n_seeds,) of those of a role and kind of host."""
    rows = cards.models[(cards.models["role"] == role) & (cards.models["host"] == host)]
    return rows.set_index("seed").loc[cards.seeds, column].to_numpy(float)
