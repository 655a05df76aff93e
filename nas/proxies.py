"""Zero-cost proxies: what a newborn network tells about its trained accuracy, for one mini-batch.

synflow: Tanaka et al. 2020, as a sum over parameters (Abdelfattah et al. 2021). jacob_cov: Mellor
et al. 2020. naswot: Mellor et al. 2021. Larger is taken for better in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.arch.genome import Genome
from nas.arch.module import ACTIVATIONS, build

NAMES = ("synflow", "jacob_cov", "naswot")
TINY = 1e-5  # keeps the logarithms finite


def proxies(genome: Genome, images: Tensor, seed: int = 0) -> dict[str, float]:
    """Scores of the genome's newborn model. images: (N, C, H, W) normalised, N of 16 to 64.

    A score that is not finite is the lowest float: such a network is not to be chosen.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(genome).to(images.device)
    scores = {
        "jacob_cov": _jacob_cov(model, images),
        "naswot": _naswot(model, images),
        "synflow": _synflow(model, images[:1]),  # last: it changes the weights
    }
    lowest = float(np.finfo(np.float32).min)
    return {name: scores[name] if np.isfinite(scores[name]) else lowest for name in NAMES}


def vote(scores: Sequence[dict[str, float]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean rank of each network over the proxies, in (0, 1], higher is better; ties share."""
    from scipy.stats import rankdata

    ranks = [rankdata([row[name] for row in scores]) for name in NAMES]
    return np.asarray(np.mean(ranks, axis=0) / len(scores))


def _jacob_cov(model: nn.Module, images: Tensor) -> float:
    """How little the images' input gradients correlate, by the correlation's eigenvalues."""
    x = images.clone().requires_grad_(True)
    model.train()(x).sum().backward()
    assert x.grad is not None
    rows = x.grad.flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    values = torch.linalg.eigvalsh(rows @ rows.T).clamp_min(0) + TINY
    return float(-(values.log() + 1 / values).sum())


@torch.no_grad()
def _naswot(model: nn.Module, images: Tensor) -> float:
    """Log-determinant of how often two images agree on which units are active."""
    count = len(images)
    agree = torch.zeros(count, count, device=images.device)

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        active = (inputs[0].flatten(1) > 0).float()
        agree.add_(active @ active.T + (1 - active) @ (1 - active).T)

    activations = tuple(ACTIVATIONS.values())
    hooks = [m.register_forward_pre_hook(note) for m in model.modules() if type(m) in activations]
    model.train()(images)
    for hook in hooks:
        hook.remove()
    return float(torch.linalg.slogdet(agree.double())[1])


def _synflow(model: nn.Module, image: Tensor) -> float:
    """Log of the sum of |parameter * gradient| with absolute weights and an image of ones."""
    model.eval().double()
    for module in model.modules():  # as newborn: the batch norms pass their input
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    model.zero_grad()
    model(torch.ones_like(image, dtype=torch.float64)).sum().backward()
    found = 0.0
    for parameter in model.parameters():
        if parameter.grad is not None:
            found += float((parameter.detach() * parameter.grad).abs().sum())
    return float(np.log(found)) if found > 0 else -np.inf
