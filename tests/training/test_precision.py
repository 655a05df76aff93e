"""Which arithmetic is the fastest."""

import torch

from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.training.precision import fastest_mode
from nas.training.predict import Precision

TINY = Genome(Input(1, 12, 12), 3, (Stage((Conv(6, 3, 2),)),), Head())


def test_fastest_mode_is_one_of_the_modes():
    mode = fastest_mode(torch.device("cpu"), [TINY], 4)
    assert mode in {Precision(b, c) for b in (False, True) for c in (False, True)}
