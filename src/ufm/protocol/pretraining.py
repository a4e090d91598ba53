"""The network that models start from: what it is trained on, and how, before them."""

from ufm.protocol.experiments import Experiment, Protocol
from ufm.protocol.settings import Training


def pretraining(protocol: Protocol, seed: int) -> Experiment:
    """The plain model that a seed's networks are trained as before, on a part of the other data set by the seed."""
    training, settings = protocol.training, protocol.training.pretrained
    assert settings is not None  # else there is none
    before = Protocol(
        settings.dataset,
        settings.n_train,
        protocol.model,
        Training(
            settings.learning_rate,
            batch_size=training.batch_size,
            epochs=settings.epochs,
            patience=training.patience,
            precision=training.precision,
        ),
        protocol.scoring,
        rounding=protocol.rounding,
        enlarged=protocol.enlarged,
    )
    return Experiment(before, seed, seed % before.n_parts, "control")
