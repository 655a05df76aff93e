"""Optimizers and learning rate schedules by the names that a recipe uses."""

from __future__ import annotations

import math

import torch
from torch import nn

from nas.training.recipe import Recipe

WARM_UP = 0.25  # share of a one-cycle schedule that rises


def learning_rate(recipe: Recipe, epochs_done: float) -> float:
    """The rate after so many (fractional) epochs; `plateau` is constant here, see `note`."""
    top, share = recipe.lr, min(1.0, epochs_done / recipe.epochs)
    match recipe.schedule:
        case "cosine":
            return top * 0.5 * (1 + math.cos(math.pi * share))
        case "cosine_restarts":  # Loshchilov and Hutter 2017, equal cycles
            within = (epochs_done % recipe.restart_epochs) / recipe.restart_epochs
            return top * 0.5 * (1 + math.cos(math.pi * within))
        case "one_cycle":  # Smith and Topin 2018: up linearly, down by a cosine
            if share < WARM_UP:
                return top * (0.1 + 0.9 * share / WARM_UP)
            fall = (share - WARM_UP) / (1 - WARM_UP)
            return top * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * fall)))
        case "step":
            return top * recipe.step_factor ** int(epochs_done // recipe.step_epochs)
    return top


def optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay only where it has a function: not on batch norm and biases."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    lr, momentum = recipe.lr, recipe.momentum
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr, momentum=momentum)
        case "nesterov":
            return torch.optim.SGD(groups, lr, momentum=momentum, nesterov=momentum > 0)
        case "asgd":
            return torch.optim.ASGD(groups, lr)
        case "adam" | "amsgrad":
            return torch.optim.Adam(groups, lr, amsgrad=recipe.optimizer == "amsgrad")
        case "adamw":
            return torch.optim.AdamW(groups, lr)
        case "adadelta":
            return torch.optim.Adadelta(groups, lr)
    return torch.optim.Adagrad(groups, lr)
