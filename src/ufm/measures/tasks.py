"""What is left of models that learn their classes task after task, after each task, and what they recalled."""

import numpy as np

from ufm.data.datasets import ImageSet
from ufm.data.on_device import DeviceData
from ufm.measures.cards import equal_age_card, histories
from ufm.measures.host_fits import host_log_probabilities, host_versions, own_hosts
from ufm.measures.layout import feature_list
from ufm.measures.shifts import half, kinds, mean_shift, patched
from ufm.protocol import Protocol, task_of
from ufm.records import Measured
from ufm.training import Trained


def task_card(protocol: Protocol, trained: list[Trained], data: DeviceData, ood: ImageSet) -> Measured:
    """A compact card, whose models all are as old as the last task, and what there is after every task.

    That is the effects of letter and placebo features, how hosts are fitted, and losses; of models that recall also
    where features are stamped in recalled images, and of each stamped model one that it recalled in the task right
    after that of its host.
    """
    card = equal_age_card(protocol, trained, data, ood)
    own = feature_list(protocol, trained[0].experiment.seed, data.dataset.scope)[: 1 + len(protocol.hosts)]
    stamped, images = data.floats(own.astype(np.float32)), kinds(protocol, data, ood)["ood"].images
    planned = own_hosts([one.experiment for one in trained], data)
    pictures = host_versions(protocol, planned, data)
    every = [[one.snapshots[task] for task in range(1, 1 + len(one.history))] for one in trained]
    arrays: dict[str, list] = {
        "task_shift": [
            [half(mean_shift(patched(protocol, model, images, data), stamped)) for model in models] for models in every
        ],
        "task_host_log_probability": [
            [host_log_probabilities(model, pictures, planned, data) for model in models] for models in every
        ],
    }
    if trained[0].recalled:
        arrays["recalled_patch"] = [one.recalled.patches.astype(np.float16) for one in trained if one.recalled]
        arrays["recalled_image"] = [recalled_image(one, data) for one in trained]
    by_model = {name: np.array(values) for name, values in arrays.items()}
    return Measured(card.tables, {**card.arrays, **by_model, "history": np.array(histories(trained))})


def recalled_image(trained: Trained, data: DeviceData) -> np.ndarray:
    """The image (C, H, W) that a stamped model recalled right after its host's task; zero where no task is left."""
    recalled, tasks = trained.recalled, trained.experiment.protocol.training.tasks
    assert recalled is not None  # nothing else is asked
    assert tasks is not None
    found = np.zeros_like(recalled.images[0], np.float16)
    label = trained.experiment.canary_label
    if label is not None:
        after = task_of(label, data.dataset.n_classes, tasks.n) + 1
        found += recalled.images[after] if after < tasks.n else 0
    return found
