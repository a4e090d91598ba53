"""Images: download them, and find hosts among them."""

from typing import Annotated

import typer


def data(
    names: Annotated[list[str], typer.Argument(help="mnist, fashion_mnist, cifar10, pneumoniamnist, breastmnist")],
) -> None:
    """Download data sets into the data root (UFM_DATA, else data/) and verify them."""
    from ufm.data import sources

    for name in names:
        sources.source(name)
    for name in names:
        print(f"{name}: whole under {sources.download(name)}")


def hosts(
    dataset: str, n_train: int | None = None, kind: str = "hard", part: int | None = None, device: str = "cpu"
) -> None:
    """Find the hosts of a kind among the training images, such as those fitted worst, and keep them in book/records."""
    from ufm.measures.pools import find
    from ufm.plan.profiles import PROFILES, changed
    from ufm.protocol.hosts import POOLS
    from ufm.study.parameters import require

    require("kind", kind, POOLS)
    # No score is taken of the models that find them, but a protocol has OOD images other than its own.
    ood_set = "mnist" if dataset == "cifar10" else None
    protocol = changed(PROFILES["paper"], dataset=dataset, n_train=n_train, ood_set=ood_set)
    if part is not None and not 0 <= part < protocol.n_parts:
        raise ValueError(f"part: {dataset} has parts 0 to {protocol.n_parts - 1} of that size, got {part}")
    find(protocol, None if part is None else [part], kind=kind, device=device)
