"""A predictor of one metric that screens children before any is trained: a Gaussian process.

Notation and shapes
    x      (N, D)  measured networks as vectors: genes within about 0..1, then the logarithms of
                   costs, standardised
    x*     (n, D)  networks to predict
    groups (D,)    for each column the number of its group, of G
    y      (N,)    the metric after `OutcomeTransform`: standardised, more is better
    d_g    (N, N)  L1 distance of two networks within the columns of group g
    theta  (G+3,)  logarithms of c, w_1 .. w_G, s and v
    k(a, b) = c exp(-sum_g w_g d_g(a, b)) + s (a . b + SIGMA_0^2)
    K      (N, N)  k(x, x) + (v + JITTER) I

The exponential of weighted distances (Laplace, with automatic relevance determination) knows
interactions; the linear part extrapolates from few networks; v is the noise of one training.
Equations of Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006:
    mean      k(x*, x) K^-1 y                                        2.25
    variance  k(x*, x*) - k(x*, x) K^-1 k(x, x*) [+ v]               2.26
    evidence  log p(y | x) = -(y' K^-1 y + log |K| + N log 2 pi) / 2   2.30, its gradient 5.9
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

Array = npt.NDArray[np.float64]

ITERATIONS = 15  # of the search for theta
PRIOR_DEVIATION = 1.5  # of every element of theta round its start
JITTER = 1e-8  # on the diagonal of every covariance matrix
SIGMA_0 = 1e-3  # of the linear part
GOOD_QUANTILE = 0.9
START = {"c": 0.5, "sum of w": 1.5, "s": 0.3, "v": 0.05}
BOUNDS = {"c": (1e-3, 1e2), "w": (1e-4, 1e2), "s": (1e-4, 1e2), "v": (1e-4, 1.0)}


class LaplaceARDKernel:
    """k(a, b) of the notation, without noise. weights: w by group."""

    def __init__(self, theta: Array, groups: Sequence[int]) -> None:
        self.constant, self.slope, self.noise = (float(np.exp(theta[i])) for i in (0, -2, -1))
        self.weights: Array = np.exp(theta[1:-2])
        self._columns = self.weights[list(groups)]

    def __call__(self, a: Array, b: Array) -> Array:
        """(len(a), len(b))."""
        near = np.exp(-cdist(a * self._columns, b * self._columns, "cityblock"))
        return np.asarray(self.constant * near + self.slope * (a @ b.T + SIGMA_0**2))

    def variance(self, a: Array) -> Array:
        """k(a, a) for each row: (len(a),)."""
        return np.asarray(self.constant + self.slope * ((a * a).sum(1) + SIGMA_0**2))


class Likelihood:
    """Minus the log evidence of y (N,) at x (N, D), and its gradient, as a function of theta."""

    def __init__(self, x: Array, y: Array, groups: Sequence[int]) -> None:
        self.y = y
        of = np.array(groups)
        self.distances = np.stack([
            cdist(x[:, of == g], x[:, of == g], "cityblock").ravel() for g in range(max(groups) + 1)
        ])  # fmt: skip
        self.linear = x @ x.T + SIGMA_0**2

    def __call__(self, theta: Array) -> tuple[float, Array]:
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
    """Predicts a metric from a vector of genes and costs, with uncertainty.

    groups: (D,), see the notation. maximize: whether more of the metric is better.
    """

    def __init__(self, groups: Sequence[int], maximize: bool = True) -> None:
        self.groups, self.maximize = tuple(groups), maximize
        self.scale = OutcomeTransform(np.zeros(1), maximize)
        self.theta: Array | None = None

    @property
    def kernel(self) -> LaplaceARDKernel:
        """As tuned."""
        assert self.theta is not None
        return LaplaceARDKernel(self.theta, self.groups)

    def fit(self, x: Array, metric: Array, tune: bool = True) -> None:
        """x (N, D), metric (N,) as measured. tune: find theta anew, else only its first time."""
        self.scale = OutcomeTransform(metric, self.maximize)
        y = self.scale(metric)
        if self.theta is None or tune:
            self.theta = self._start()
        if tune:
            self.theta = _most_probable(Likelihood(x, y, self.groups), self.theta, self._bounds())
        self._condition(x, y)

    def condition_on(self, x: Array) -> Array:
        """Take the predictions of x (n, D) for true ("kriging believer"); returns them as
        metrics (n,).
        """
        mean, _ = self.predict(x)
        self._condition(np.vstack([self._x, x]), np.concatenate([self._y, mean]))
        return self.scale.inverse(mean)

    def predict(self, x: Array, noise: float = 1.0) -> tuple[Array, Array]:
        """(mean, deviation), each (n,), of a measurement after `scale`.

        noise: share of a measurement's variance v; 0: of what many measurements have as their mean.
        """
        kernel = self.kernel
        across = kernel(x, self._x)
        explained = solve_triangular(self._factor[0], across.T, lower=True)
        variance = kernel.variance(x) + noise * kernel.noise - (explained**2).sum(0)
        return across @ self._alpha, np.sqrt(np.maximum(variance, 1e-12))

    def _condition(self, x: Array, y: Array) -> None:
        kernel = self.kernel
        covariance = kernel(x, x) + np.diag(np.full(len(x), kernel.noise + JITTER))
        self._x, self._y = x, y
        self._factor = cho_factor(covariance, lower=True)
        self._alpha: Array = cho_solve(self._factor, y)

    def _start(self) -> Array:
        count = max(self.groups) + 1
        weights = [START["sum of w"] / count] * count
        return np.log([START["c"], *weights, START["s"], START["v"]])

    def _bounds(self) -> Array:
        count = max(self.groups) + 1
        return np.log([BOUNDS["c"], *[BOUNDS["w"]] * count, BOUNDS["s"], BOUNDS["v"]])


class OutcomeTransform:
    """A metric -> what the process models: more is better, standardised, bad networks compressed.

    A share to maximize, such as accuracy, becomes a log error, which tells good networks apart;
    compressing what lies below the median keeps a few networks that learnt nothing from deciding
    the scale. It rises with goodness throughout.
    """

    def __init__(self, metric: npt.ArrayLike, maximize: bool = True) -> None:
        given = np.asarray(metric, dtype=float)
        self.maximize = maximize
        self.share = maximize and bool(given.min() >= 0 and given.max() <= 1)
        values = self._goodness(given)
        self.median = float(np.median(values))
        spread = float(np.quantile(values, GOOD_QUANTILE)) - self.median
        self.spread = spread if spread > 1e-9 else max(float(values.std()), 1e-9)
        compressed = self._compress(values)
        self.mean, self.deviation = float(compressed.mean()), max(float(compressed.std()), 1e-9)

    def __call__(self, metric: npt.ArrayLike) -> Array:
        compressed = self._compress(self._goodness(np.asarray(metric, dtype=float)))
        return (compressed - self.mean) / self.deviation

    def inverse(self, values: npt.ArrayLike) -> Array:
        """Back to the metric."""
        relative = np.asarray(values) * self.deviation + self.mean
        relative = np.where(relative < 0, -np.expm1(np.maximum(-relative, 0)), relative)
        goodness = relative * self.spread + self.median
        if self.share:
            return np.asarray(1 - np.exp(-goodness))
        return np.asarray(goodness if self.maximize else -goodness)

    def _goodness(self, metric: Array) -> Array:
        if self.share:
            return np.asarray(-np.log(np.maximum(1 - metric, 1e-4)))
        return metric if self.maximize else -metric

    def _compress(self, values: Array) -> Array:
        relative = (values - self.median) / self.spread
        return np.where(relative < 0, -np.log1p(np.maximum(-relative, 0)), relative)


def _most_probable(
    objective: Callable[[Array], tuple[float, Array]], theta: Array, bounds: Array
) -> Array:
    """The most probable theta under a normal prior round where it starts.

    Without the prior, some thirty weights would be fitted to as few networks.
    """

    def penalised(t: Array) -> tuple[float, Array]:
        value, gradient = objective(t)
        away = (t - theta) / PRIOR_DEVIATION
        return value + 0.5 * float(away @ away), gradient + away / PRIOR_DEVIATION

    found = minimize(
        penalised, theta, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": ITERATIONS},
    )  # fmt: skip
    return np.asarray(found.x)
