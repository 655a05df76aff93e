"""A predictor of accuracy that screens children before any is trained. No torch here.

A Gaussian process over genes and known costs. Its kernel is the sum of an exponential of weighted
gene distances, which knows interactions, and of a linear one, which extrapolates from few networks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    DotProduct,
    Hyperparameter,
    Kernel,
    NormalizedKernelMixin,
    WhiteKernel,
)

ITERATIONS = 15  # of the search for kernel weights
PRIOR_DEVIATION = 1.5  # of every log kernel weight round its start
JITTER = 1e-8  # on the diagonal of every covariance matrix
SIGMA_0 = 1e-3  # of the linear part
GOOD_QUANTILE = 0.9


class LaplaceARDKernel(NormalizedKernelMixin, Kernel):  # type: ignore[misc]
    """exp(-sum over groups g of weights[g] * L1 distance within the columns of g).

    groups: the group of every column; columns of one group share a weight.
    """

    def __init__(self, weights: Any, groups: tuple[int, ...]) -> None:
        self.weights, self.groups = weights, groups

    @property
    def hyperparameter_weights(self) -> Any:
        return Hyperparameter("weights", "numeric", (1e-4, 1e2), len(self.weights))

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:  # noqa: N803
        assert not eval_gradient  # Likelihood has it
        weighted = np.asarray(self.weights)[list(self.groups)]
        Y = X if Y is None else Y  # noqa: N806
        return np.exp(-cdist(X * weighted, Y * weighted, "cityblock"))

    def is_stationary(self) -> bool:
        return True


class Likelihood:
    """Minus the log likelihood of accuracies y (N,) at x (N, columns), and its gradient.

    A function of the logarithms of (constant, weights of the groups, constant of the linear part,
    noise), in the order of Surrogate's kernel. GaussianProcessRegressor has the same figures, but
    computes every distance again at each step and an (N, N, parameters) array for the gradient.
    Source: Rasmussen and Williams 2006, equations 2.30 and 5.9.
    """

    def __init__(self, x: Any, y: Any, groups: tuple[int, ...]) -> None:
        self.y = y
        of = np.array(groups)
        self.distances = np.stack([
            cdist(x[:, of == g], x[:, of == g], "cityblock").ravel() for g in range(max(groups) + 1)
        ])  # fmt: skip
        self.linear = x @ x.T + SIGMA_0**2

    def __call__(self, theta: Any) -> tuple[float, Any]:
        constant, weights, slope, noise = np.split(np.exp(theta), [1, len(theta) - 2, -1])
        count = len(self.y)
        genes = constant * np.exp(-(weights @ self.distances)).reshape(count, count)
        covariance = genes + slope * self.linear + np.diag(np.full(count, noise + JITTER))
        try:
            factor = cho_factor(covariance, lower=True)
        except LinAlgError:  # the step was too bold
            return np.inf, np.zeros_like(theta)
        alpha = cho_solve(factor, self.y)
        value = 0.5 * self.y @ alpha + np.log(np.diag(factor[0])).sum()
        pull = cho_solve(factor, np.eye(count)) - np.outer(alpha, alpha)
        of_genes = pull * genes
        gradient = 0.5 * np.concatenate([
            [of_genes.sum()],
            -weights * (self.distances @ of_genes.ravel()),
            slope * (pull * self.linear).sum(),
            noise * np.trace(pull),
        ])  # fmt: skip
        return float(value) + 0.5 * count * np.log(2 * np.pi), gradient


class GaussianProcess:
    """Predicts accuracy from a vector of genes and costs, with uncertainty.

    groups: for every column the number of its group, see LaplaceARDKernel; columns lie within
    about 0..1.
    """

    def __init__(self, groups: Sequence[int]) -> None:
        self.groups = tuple(groups)
        self._kernel: Any = None
        self._process: Any = None
        self.scale = OutcomeTransform(np.zeros(1))

    def fit(self, x: Any, accuracy: Any, tune: bool = True) -> None:
        """x (N, columns), accuracy (N,) in 0..1. tune: find the kernel's weights anew."""
        self.scale = OutcomeTransform(accuracy)
        y = self.scale(accuracy)
        if tune or self._kernel is None:
            self._kernel = self._start()

        def optimizer(_: Any, theta: Any, bounds: Any) -> tuple[Any, float]:
            return _most_probable(Likelihood(x, y, self.groups), theta, bounds)

        self._process = GaussianProcessRegressor(
            self._kernel, alpha=JITTER, optimizer=optimizer if tune else None
        )
        with warnings.catch_warnings():  # a weight at its bound is no fault
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(x, y)
        self._kernel = self._process.kernel_

    def condition_on(self, x: Any) -> Any:
        """Take the predictions of x (n, columns) for true; returns them as accuracies (n,)."""
        mean, _ = self.predict(x)
        before = self._process
        self._process = GaussianProcessRegressor(self._kernel, alpha=JITTER, optimizer=None)
        self._process.fit(np.vstack([before.X_train_, x]), np.concatenate([before.y_train_, mean]))
        return self.scale.inverse(mean)

    def predict(self, x: Any) -> tuple[Any, Any]:
        """(mean, deviation) of a measurement, noise included, on the scale of `scale`."""
        mean, deviation = self._process.predict(x, return_std=True)
        return mean, np.maximum(deviation, 1e-6)

    def _start(self) -> Any:
        count = max(self.groups) + 1
        weights = np.full(count, 1.5 / count)
        return (
            ConstantKernel(0.5, (1e-3, 1e2)) * LaplaceARDKernel(weights, self.groups)
            + ConstantKernel(0.3, (1e-4, 1e2)) * DotProduct(sigma_0=SIGMA_0, sigma_0_bounds="fixed")
            + WhiteKernel(0.05, (1e-4, 1.0))
        )


class OutcomeTransform:
    """Accuracy -> what the process models: log error, standardised, bad networks compressed.

    A log error tells good networks apart; compressing what lies below the median keeps a few
    networks that learnt nothing from deciding the scale.
    """

    def __init__(self, accuracy: Any) -> None:
        values = _log_error(np.asarray(accuracy, dtype=float))
        self.median = float(np.median(values))
        spread = float(np.quantile(values, GOOD_QUANTILE)) - self.median
        self.spread = spread if spread > 1e-9 else max(float(values.std()), 1e-9)
        compressed = self._compress(values)
        self.mean, self.deviation = float(compressed.mean()), max(float(compressed.std()), 1e-9)

    def __call__(self, accuracy: Any) -> Any:
        compressed = self._compress(_log_error(np.asarray(accuracy, dtype=float)))
        return (compressed - self.mean) / self.deviation

    def inverse(self, values: Any) -> Any:
        """Back to accuracies."""
        relative = np.asarray(values) * self.deviation + self.mean
        relative = np.where(relative < 0, -np.expm1(np.maximum(-relative, 0)), relative)
        return 1 - np.exp(-(relative * self.spread + self.median))

    def _compress(self, values: Any) -> Any:
        relative = (values - self.median) / self.spread
        return np.where(relative < 0, -np.log1p(np.maximum(-relative, 0)), relative)


def _log_error(accuracy: Any) -> Any:
    return -np.log(np.maximum(1 - accuracy, 1e-4))


def _most_probable(objective: Any, theta: Any, bounds: Any) -> tuple[Any, float]:
    """The most probable log weights under a normal prior round where they start.

    Without the prior, some thirty weights would be fitted to as few networks.
    """

    def penalised(t: Any) -> tuple[float, Any]:
        value, gradient = objective(t)
        away = (t - theta) / PRIOR_DEVIATION
        return value + 0.5 * float(away @ away), gradient + away / PRIOR_DEVIATION

    found = minimize(
        penalised, theta, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": ITERATIONS},
    )  # fmt: skip
    return found.x, float(found.fun)
