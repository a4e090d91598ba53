"""Attacks on trained networks: small changes of images by which these are taken for another class.

What is raised is the log-odds against an image's label, log((1 − p) / p). Its gradient has the direction of that of the
cross-entropy, but does not round to zero where a network is sure, which would pass for robustness (Athalye et al. 2018,
arXiv 1802.00420). All images are in [0, 1], before normalisation.
"""

from collections.abc import Callable

import torch

from ufm.training.forgetting import into_ball, norms

Network = Callable[[torch.Tensor], torch.Tensor]  # logits (n, n_classes) of images (n, C, H, W) in [0, 1]

STEPS = 20  # of projected gradient descent, each of `STRIDE` radii over the number of steps (Madry et al. 2018)
STRIDE = 2.5
ITERATIONS, BEYOND, HALVINGS = 50, 0.02, 20  # of DeepFool, by how much it goes too far, and of the way back


def log_odds(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log((1 − p) / p) (n,) of labels (n,) by logits (n, n_classes), in nats."""
    own = labels[:, None]
    return logits.scatter(1, own, -torch.inf).logsumexp(1) - logits.gather(1, own)[:, 0]


def gradient(network: Network, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which images (n, C, H, W) are classified as their labels (n,), and the gradient of the log-odds by each."""
    x = images.detach().requires_grad_()
    logits = network(x)
    [found] = torch.autograd.grad(log_odds(logits, labels).sum(), x)
    return logits.argmax(1) == labels, found


def steepest(gradients: torch.Tensor, norm: str) -> torch.Tensor:
    """The changes (n, C, H, W) of norm 1 along which something grows fastest, by its gradients; none where it is 0."""
    if norm == "L∞":
        return gradients.sign()
    return gradients / norms(gradients).clamp(min=torch.finfo(gradients.dtype).tiny)


def within(images: torch.Tensor, moved: torch.Tensor, radii: torch.Tensor, norm: str) -> torch.Tensor:
    """Changes (n, C, H, W) of images, brought into the ball of each radius (n,), then images into [0, 1]."""
    radii = radii[:, None, None, None]
    near = moved.clamp(-radii, radii) if norm == "L∞" else into_ball(moved, radii)
    return (images + near).clamp(0, 1) - images


@torch.no_grad()
def classified(network: Network, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images (n, C, H, W) are classified as their labels (n,)."""
    return network(images).argmax(1) == labels


def one_step(
    network: Network, images: torch.Tensor, labels: torch.Tensor, radii: torch.Tensor, norm: str
) -> torch.Tensor:
    """Which labels (n,) hold one step of a radius (n,) up the gradient.

    FGSM (Goodfellow et al. 2015, arXiv 1412.6572), and in L2 a step along the gradient.
    """
    _, found = gradient(network, images, labels)
    moved = radii[:, None, None, None] * steepest(found, norm)
    return classified(network, (images + moved).clamp(0, 1), labels)


def descended(
    network: Network, images: torch.Tensor, labels: torch.Tensor, radii: torch.Tensor, norm: str, starts: torch.Tensor
) -> torch.Tensor:
    """Which labels (n,) hold wherever projected gradient descent (Madry et al. 2018, arXiv 1706.06083) passes.

    starts: changes (n, C, H, W) at which it begins, brought into the ball of each radius (n,).
    """
    held = torch.ones(len(images), dtype=torch.bool, device=images.device)
    places, moved = torch.arange(len(images), device=images.device), within(images, starts, radii, norm)
    for step in range(STEPS + 1):
        right, found = gradient(network, images + moved, labels)
        held[places[~right]] = False
        if step == STEPS or not right.any():
            break
        places, images, labels, radii, moved, found = (
            of[right] for of in (places, images, labels, radii, moved, found)
        )
        stride = (STRIDE / STEPS * radii)[:, None, None, None]
        moved = within(images, moved + stride * steepest(found, norm), radii, norm)
    return held


def pulled(
    network: Network,
    images: torch.Tensor,
    labels: torch.Tensor,
    radii: torch.Tensor,
    norm: str,
    others: torch.Tensor,
) -> torch.Tensor:
    """Which labels (n,) hold where an image is moved as far as its radius (n,) allows to each of `others`.

    No gradient is asked for, so that none can mislead. others: (n, n_others, C, H, W), of other classes.
    """
    held = torch.ones(len(images), dtype=torch.bool, device=images.device)
    for other in others.unbind(1):
        held &= classified(network, images + within(images, other - images, radii, norm), labels)
    return held


def jacobian(network: Network, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, n_classes) and their gradients by pixels (n, n_classes, n_pixels)."""
    x = images.detach().requires_grad_()
    logits = network(x)
    rows = [torch.autograd.grad(one.sum(), x, retain_graph=True)[0].flatten(1) for one in logits.unbind(1)]
    return logits.detach(), torch.stack(rows, 1)


def nearest(logits: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """L2 distance (n,) to the nearest boundary of each label (n,) were the network linear, and the way (n, n_pixels).

    The boundary with class k is (z_label − z_k) / ‖∇(z_label − z_k)‖ away. Without any gradient it is infinitely far,
    and there is no way. Of wrong labels both mean nothing.
    """
    own = labels[:, None]
    lead = logits.gather(1, own) - logits
    normals = rows - rows.gather(1, own[..., None].expand(-1, -1, rows.shape[2]))
    lengths = normals.norm(dim=2)
    away = torch.where(lengths > 0, lead / lengths, torch.inf).scatter(1, own, torch.inf)
    distance, which = away.min(1)
    chosen = which[:, None]
    normal = normals.gather(1, chosen[..., None].expand(-1, -1, rows.shape[2]))[:, 0]
    length = lengths.gather(1, chosen)
    way = torch.where(distance.isfinite()[:, None], distance[:, None] * normal / length.clamp(min=1e-30), 0.0)
    return distance, way


def boundary(network: Network, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """L2 distance (n,) from images to a point near by where the network leaves their labels (n,), in pixels.

    DeepFool (Moosavi-Dezfooli et al. 2016, arXiv 1511.04599) walks to the nearest boundary of the network made linear,
    again and again, until the label is left; the boundary is then sought by halving on the straight line to there. So
    it is no nearer than the nearest one. Pixels may leave [0, 1]. Zero where an image is classified wrong, infinite
    where the label is never left.
    """
    moved, at = torch.zeros_like(images), torch.arange(len(images), device=images.device)
    left = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for _ in range(ITERATIONS):
        beyond = images[at] + (1 + BEYOND) * moved[at]
        right = classified(network, beyond, labels[at])
        left[at[~right]] = True
        at = at[right]
        if not len(at):
            break
        _, way = nearest(*jacobian(network, beyond[right]), labels[at])
        moved[at] += way.view(len(at), *images.shape[1:])
    whole = (1 + BEYOND) * moved
    inside, outside = torch.zeros_like(labels, dtype=images.dtype), torch.ones_like(labels, dtype=images.dtype)
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        right = classified(network, images + middle[:, None, None, None] * whole, labels)
        inside, outside = torch.where(right, middle, inside), torch.where(right, outside, middle)
    return torch.where(left, outside * norms(whole)[:, 0, 0, 0], torch.inf)


def curvature(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Largest eigenvalue (n,) of the Hessian of the cross-entropy by pixels, in nats, of a network of linear pieces.

    Such a network is linear around almost every image, so that the Hessian is Jᵀ (diag p − ppᵀ) J, whatever the label;
    its largest eigenvalue is that of Bᵀ J Jᵀ B with B = (I − p 1ᵀ) diag √p.
    """
    p, rows = logits.double().softmax(1), rows.double()
    root = torch.diag_embed(p.sqrt()) - p[:, :, None] * p.sqrt()[:, None]
    spread = root.mT @ (rows @ rows.mT) @ root
    return torch.linalg.eigvalsh(spread)[:, -1].clamp(min=0)
