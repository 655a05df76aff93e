"""Every registered kind of block: its readings agree, its fields are read, written and searched."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from agreement import check
from conftest import ROOT

from nas.arch.block import Block, SearchableBlock, kinds, register, searchable_kinds
from nas.arch.blocks import Conv, ConvNeXt, Ghost, Inverted, Pool, Residual
from nas.arch.genome import Genome, Head, Input, Stage
from nas.arch.lowering import cost, describe, lower, lower_block
from nas.arch.module import build
from nas.arch.plugins import load_plugins
from nas.common.errors import UserError
from nas.report.colours import KINDS
from nas.space.space import SearchSpace

pytestmark = pytest.mark.slow

SEARCHABLE = list(searchable_kinds().values())


def network(*blocks, size=20):
    return Genome(Input(1, size, size + 3), 3, (Stage((Conv(6),)), Stage(blocks)), Head())


def settings(cls):
    """Every choice of every word, small and large numbers, one at a time."""
    yield {}
    values = {"kernel": (1, 5), "expand": (1, 3), "se_ratio": (0.3,), "share": (0.1, 1.0)}
    values["attention"], values["activation"] = ("eca", "coordinate"), ("none", "gelu")
    for name in cls.searchable:
        for value in values[name]:
            yield {name: value}


@pytest.mark.parametrize("cls", SEARCHABLE, ids=lambda c: c.kind)
def test_cost_torch_and_onnx_agree(cls):
    for fields in settings(cls):
        same, wider = cls(6, **fields), cls(7, stride=2, **fields)
        check(network(same, wider, dataclasses.replace(wider, stride=1)))


@pytest.mark.parametrize("cls", SEARCHABLE, ids=lambda c: c.kind)
def test_fields_survive_the_file(cls):
    for fields in settings(cls):
        genome = network(cls(8, **fields))
        assert Genome.from_json(genome.to_json()) == genome


def test_a_field_that_came_later_changes_no_id():
    """`attention` is younger than stored genomes; they keep what was hashed."""
    assert "attention" not in Inverted(8).to_dict()
    assert Inverted(8, attention="eca").to_dict()["attention"] == "eca"
    ids = {network(Residual(8, attention=a)).id for a in ("none", "eca", "coordinate")}
    assert len(ids) == 3


def test_params_of_a_ghost_by_hand():
    """8 -> 8 channels, twice as many between: 1x1 to a half, a depthwise 3x3 for the other."""
    expand = (8 * 8 + 2 * 8) + (9 * 8 + 2 * 8)  # to 16
    project = (16 * 4 + 2 * 4) + (9 * 4 + 2 * 4)  # to 8
    assert lower_block(Ghost(8), (8, 6, 6)).cost.params == expand + project


def test_params_of_a_convnext_by_hand():
    """Depthwise 7x7 and its norm, 1x1 to 32 and back to 8, both with a bias."""
    found = lower_block(ConvNeXt(8), (8, 6, 6))
    assert found.cost.params == 49 * 8 + 16 + (8 * 32 + 32) + (32 * 8 + 8)
    assert found.skip == ()
    assert lower_block(ConvNeXt(8, stride=2), (8, 6, 6)).skip is None


def test_params_of_the_attentions_by_hand():
    plain, eca, coordinate = (
        lower_block(Inverted(16, expand=1, attention=a), (16, 6, 6)).cost.params
        for a in ("none", "eca", "coordinate")
    )
    assert eca - plain == 3  # kernel of |log2(16) / 2 + 1 / 2|, made odd
    assert coordinate - plain == 16 * 8 + 16 + 2 * (8 * 16 + 16)


def test_ghosts_are_described():
    assert "[input | dw3x3 bn relu]" in describe(network(Ghost(8)))


def test_an_unknown_kind_is_refused_by_name():
    data = network(Conv(4)).to_dict()
    data["stages"][1]["blocks"][0]["kind"] = "mine"
    with pytest.raises(UserError, match=r"blocks\[0\].kind: unknown block 'mine'.*--plugin"):
        Genome.from_dict(data)


def own(**members):
    """A class of the user's, registered."""
    return register(type("Own", (SearchableBlock,), {"__module__": "mine", **members}))


@pytest.fixture
def _only_for_this_test(monkeypatch):
    monkeypatch.setattr("nas.arch.block._KINDS", dict(kinds()))
    monkeypatch.setattr("nas.arch.plugins._LOADED", {})  # workers import what stands there


@pytest.mark.usefixtures("_only_for_this_test")
def test_an_own_block_that_does_not_fit_is_refused():
    narrow = own(kind="own", lower=lambda self, main: main.unit())
    with pytest.raises(UserError, match=r"blocks\[0\]: block own gives 6 channels; .* 8"):
        lower(network(narrow(8)))

    def bad_skip(self, main):
        main.conv("conv", self.channels)
        return main.unit(main.start())

    with pytest.raises(UserError, match=r"the skip gives \(6, 20, 23\), the main path \(8, 20, 23"):
        lower(network(own(kind="own", lower=bad_skip)(8)))

    def twice(self, main):
        main.conv("conv", self.channels)
        main.conv("conv", self.channels)
        return main.unit()

    with pytest.raises(UserError, match="two layers have one name"):
        lower(network(own(kind="own", lower=twice)(8)))


@pytest.mark.usefixtures("_only_for_this_test")
def test_what_is_no_kind_is_refused():
    with pytest.raises(TypeError, match=r"'conv' is already nas.arch.blocks.Conv"):
        own(kind="conv")
    with pytest.raises(TypeError, match="has a `kind`"):
        own()
    with pytest.raises(TypeError, match="has a `kind`"):
        register(type("Own", (), {"kind": "own"}))
    with pytest.raises(TypeError, match="block 'own': lower is missing"):
        own(kind="own")
    with pytest.raises(TypeError, match="searchable and needs a default"):
        own(kind="own", searchable=("channels",))
    assert "own" not in kinds()


@pytest.mark.usefixtures("_only_for_this_test")
def test_a_plugin_brings_its_block(tmp_path, monkeypatch):
    """The example, as a user would have it: in the working folder, named on the command line."""
    with pytest.raises(UserError, match=r"stages\[0\].blocks\[0\]: unknown block 'partial'"):
        SearchSpace.load(ROOT / "examples/own_block.yaml")
    monkeypatch.chdir(ROOT / "examples")
    load_plugins(["own_block"])
    space = SearchSpace.load("own_block.yaml")
    rng = np.random.default_rng(0)
    genotypes = [space.sample(rng) for _ in range(6)]
    assert any(b.kind == "partial" for g in genotypes for s in g.stages for b in s.blocks)
    for genotype in genotypes:
        check(genotype.genome)
        assert space.genotype(Genome.from_json(genotype.genome.to_json())) == genotype
    assert space.encode(genotypes[0]).shape == (len(space.groups),)


@pytest.mark.parametrize(
    ("name", "message"),
    [("no_such_module", "no_such_module: cannot import it: No module"), ("a/b", "expected a mod")],
)
def test_a_plugin_that_is_not_there(name, message):
    with pytest.raises(UserError, match=message):
        load_plugins([name])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\nraise KeyError('x')", r"cannot import it: KeyError: 'x' \(broken.py, line 2\)$"),
        ("import numpy as np\nnp.reshape(np.zeros(3), 2)", r"ValueError: .*\(broken.py, line 2\)$"),
        ("def (", r"cannot import it: SyntaxError: .*\(broken.py, line 1\)$"),
        ("import no_such_module", "cannot import it: No module named 'no_such_module'$"),
        ("from nas.arch import Blok", r"ImportError: cannot import name 'Blok'.*line 1\)$"),
    ],
)
def test_a_plugin_that_fails_on_import_is_one_line(code, message, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    with pytest.raises(UserError, match=message) as error:
        load_plugins(["broken"])
    assert "\n" not in str(error.value)


OWN = """
version: 1
name: mine
stem: {channels: 16}
stages: [{downsample: max, depth: 2, channels: [4, 6], blocks: own}]
head: {pool: avg}
"""


@pytest.mark.usefixtures("_only_for_this_test")
@pytest.mark.parametrize(
    ("lower", "message"),
    [
        (lambda self, main: main.unit(), "block own gives 16 channels; its field says [46]$"),
        (lambda self, main: None, r"block own: its lower gave None; expected main.unit\(...\)$"),
        (lambda self, main: 1 / 0, r"raised ZeroDivisionError: .*\(test_blocks.py, line \d+\)$"),
        (lambda self, main: main.conv(), r"raised TypeError: .*'channels'.*\(test_blocks.py, line"),
    ],
)
def test_a_block_at_fault_is_told_by_its_space(lower, message, tmp_path, rng):
    own(kind="own", lower=lower)
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    with pytest.raises(UserError, match="mine: none of 1000 samples can be built: .*" + message):
        SearchSpace.load(path).sample(rng)


def test_the_example_runs():
    done = subprocess.run(
        [sys.executable, ROOT / "examples/own_block.py"], capture_output=True, text=True, check=True
    )
    predicted, built = re.findall(r"([\d,]+) (?:predicted|in the torch module)", done.stdout)
    assert predicted == built


def test_pools_are_blocks_but_not_searched():
    assert issubclass(Pool, Block)
    assert "pool" in kinds()
    assert "pool" not in searchable_kinds()
    assert cost(network(Pool("avg"))).params == cost(network(Pool("max"))).params


def settings_of(cls):
    """The block plain, and with each of its gates."""
    genes, smooth = cls.genes(), {"channels": 4}
    smooth |= {"activation": "gelu"} if "activation" in genes else {}  # no kink to step over
    yield cls(**smooth)
    if "se_ratio" in genes:
        yield cls(**smooth, se_ratio=0.5)
    for gate in ("eca", "coordinate") if "attention" in genes else ():
        yield cls(**smooth, attention=gate)


@pytest.mark.parametrize(
    "block",
    [block for _, cls in sorted(searchable_kinds().items()) for block in settings_of(cls)],
    ids=lambda b: f"{b.kind}-{getattr(b, 'se_ratio', 0)}-{getattr(b, 'attention', '')}",
)
def test_gradients_are_those_of_differences(block):
    """Of every weight and of the picture, in double precision, batch norms in training."""
    torch.manual_seed(0)
    stem = Conv(8, activation="gelu")  # enough channels that not all of a gate rest
    genome = Genome(Input(1, 8, 8), 2, (Stage((stem, block)),), Head())
    model = build(genome).double().train()
    names, weights = zip(*model.named_parameters(), strict=True)
    # Off their start, where a norm behind a projection may be 0.
    weights = [(w + 0.1 * torch.randn_like(w)).detach().requires_grad_() for w in weights]
    pictures = torch.randn(3, 1, 8, 8, dtype=torch.float64, requires_grad=True)

    def logits(x, *given):
        return torch.func.functional_call(model, dict(zip(names, given, strict=True)), (x,))

    assert torch.autograd.gradcheck(logits, (pictures, *weights), fast_mode=True)
    grads = torch.autograd.grad(logits(pictures, *weights).square().sum(), weights)
    bare = {n for n, g in zip(names, grads, strict=True) if not g.abs().max() > 0}
    assert not bare  # nothing is built and left out


def test_each_kind_of_the_package_has_a_colour_of_its_own():
    own = {name for name, cls in kinds().items() if cls.__module__.startswith("nas.arch.")}
    assert len({KINDS[name] for name in own}) == len(own) > 6
