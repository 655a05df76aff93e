"""Which arithmetic trains: the fastest of those that work and give float32's answers."""

import pytest
import torch

from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.common.errors import UserError
from nas.training import precision as module
from nas.training.precision import fastest_precision, step_seconds, torch_device
from nas.training.predict import Precision

TINY = Genome(Input(1, 12, 12), 3, (Stage((Conv(6, 3, 2),)),), Head())
WIDE = Genome(Input(1, 12, 12), 3, (Stage((Conv(8, 3, 2),)),), Head())
CPU = torch.device("cpu")
ALL = [Precision(b, c) for b in (False, True) for c in (False, True)]
PLAIN, BF16, LAST = ALL[0], ALL[2], ALL[1]


@pytest.mark.parametrize("fastest", ALL)
def test_the_fastest_is_chosen(fastest):
    assert (
        fastest_precision(CPU, [TINY], 4, lambda run: 1.0 + (run.precision != fastest)) == fastest
    )


@pytest.mark.parametrize(("wide", "fastest"), [(6.0, BF16), (8.0, PLAIN)])
def test_the_quickest_steps_of_all_networks_count(wide, fastest):
    took = {
        (TINY.id, PLAIN): 4.0,
        (WIDE.id, PLAIN): 4.0,
        (TINY.id, BF16): 1.0,
        (WIDE.id, BF16): wide,
    }
    steps = []

    def seconds(run):
        steps.append(run.precision)
        stumbles = 100.0 if steps.count(run.precision) == 1 else 0.0
        return took.get((run.genome.id, run.precision), 9.0) + stumbles

    assert fastest_precision(CPU, [TINY, WIDE], 4, seconds) == fastest


def test_the_steps_are_those_of_a_training():
    trained = []

    def seconds(run):
        took = step_seconds(run)
        trained.append((run.precision, run.step))
        return took if run.precision == LAST else 1e9

    assert fastest_precision(CPU, [TINY], 4, seconds) == LAST
    assert sorted(step for _, step in trained) == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4


@pytest.mark.parametrize("turn", [1, 3])
def test_one_that_fails_is_never_chosen(turn, caplog):
    caplog.set_level("INFO", "nas")
    steps = []

    def seconds(run):
        steps.append(run.precision)
        if run.precision.bf16 and steps.count(run.precision) == turn:
            raise RuntimeError("no bfloat16 here")
        return 1.0 if run.precision.bf16 else 2.0 + run.precision.channels_last

    assert fastest_precision(CPU, [TINY, WIDE], 4, seconds) == PLAIN
    assert caplog.text.count("no bfloat16 here") == 2
    assert steps.count(BF16) == turn  # nor is it tried again


def test_float32_that_fails_is_the_networks_fault():
    def seconds(run):
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        fastest_precision(CPU, [TINY], 4, seconds)


@pytest.mark.parametrize("wrong", [1.0, float("nan")])
def test_one_with_other_answers_is_never_chosen(wrong, monkeypatch, caplog):
    caplog.set_level("INFO", "nas")
    logits = module.logits

    def answers(model, genome, subset, precision=PLAIN):
        return logits(model, genome, subset, precision) + (wrong if precision == LAST else 0.0)

    monkeypatch.setattr(module, "logits", answers)
    fastest = fastest_precision(CPU, [TINY], 4, lambda run: 1.0 + (run.precision != LAST))
    assert fastest != LAST
    assert "channels_last=True) is not used: its logits differ" in caplog.text


def test_devices():
    assert torch_device("cpu") == CPU
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UserError, match="device: cannot use 'gpu'"):
        torch_device("gpu")
