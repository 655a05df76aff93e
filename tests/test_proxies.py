import numpy as np
import pytest
import torch

from nas.arch.genome import Conv, Dense, Genome, Head, Input, Inverted, Stage
from nas.arch.module import build
from nas.proxies import NAMES, proxies, vote

TINY = Genome(Input(1, 12, 12), 3, (Stage((Conv(6, 3, 2), Inverted(6))),), Head("avg"))
LINEAR = Genome(
    Input(1, 8, 8), 2,
    (Stage((Conv(3, norm="none", activation="none"),)),),
    Head("flatten", 0.0, (Dense(4, activation="none"),)),
)  # fmt: skip


@pytest.fixture(scope="module")
def images():
    return torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(0))


def test_a_score_for_every_proxy_and_seed(images):
    first, again, other = (proxies(TINY, images, seed) for seed in (0, 0, 1))
    assert set(first) == set(NAMES)
    assert first == again
    assert all(first[name] != other[name] for name in NAMES)
    assert all(np.isfinite(value) for value in first.values())


def test_synflow_of_a_linear_network_by_hand():
    """Every layer's weights carry the whole output; a bias carries what flows from it."""
    torch.manual_seed(0)
    state = {name: value.double().abs() for name, value in build(LINEAR).state_dict().items()}
    model = build(LINEAR).double()

    def output(**change):
        model.load_state_dict({**state, **change})
        return float(model(torch.ones(1, 1, 8, 8, dtype=torch.float64)).sum().detach())

    whole, none = output(), torch.zeros(4, dtype=torch.float64)
    first = whole - output(**{"hidden0.linear.bias": none})
    last = float(state["classifier.linear.bias"].sum().detach())
    # conv weights, hidden weights and hidden bias, classifier weights and classifier bias
    unbiased = whole - first - last
    expected = unbiased + unbiased + first + (whole - last) + last
    found = proxies(LINEAR, torch.randn(4, 1, 8, 8), seed=0)["synflow"]
    assert found == pytest.approx(np.log(expected), rel=1e-9)


def test_images_that_look_alike_score_lower(images):
    alike = images[:1] + 1e-4 * images
    different, same = proxies(TINY, images), proxies(TINY, alike)
    assert same["naswot"] < different["naswot"]
    assert same["jacob_cov"] < different["jacob_cov"]
    assert same["synflow"] == different["synflow"]  # it looks at no image


def test_a_network_without_activations_has_no_naswot():
    found = proxies(LINEAR, torch.randn(4, 1, 8, 8))
    assert found["naswot"] == float(np.finfo(np.float32).min)


def test_scoring_leaves_the_generator_alone(images):
    state = torch.get_rng_state()
    proxies(TINY, images)
    assert torch.equal(torch.get_rng_state(), state)


def test_vote_is_the_mean_rank():
    rows = [
        {"synflow": 1.0, "jacob_cov": -5.0, "naswot": 3.0},
        {"synflow": 9.0, "jacob_cov": -4.0, "naswot": 3.0},
        {"synflow": 2.0, "jacob_cov": -9.0, "naswot": 1.0},
    ]
    np.testing.assert_allclose(vote(rows), [5.5 / 9, 8.5 / 9, 4 / 9])
