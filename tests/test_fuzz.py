"""Damaged files: whatever a file holds, its reader answers or raises UserError, nothing else."""

import contextlib
import copy
import warnings

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from readers import READERS

from nas.common.errors import UserError

pytestmark = pytest.mark.slow

TEXT = [reader for reader in READERS if reader.text]
QUIET = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "derandomize": True,  # tests/fuzz.py looks for new ones
}
ODD = st.one_of(
    st.sampled_from([
        None, True, -1, 0, 0.5, 1e308, float("nan"), float("inf"), 10**25, 10**400, -(2**63), "",
        "0", "1e-3", "../../x", "/etc/passwd", "\0", "\x1b[2J", "é" * 5000, [], {}, [[]], [{}],
        {"": None}, {"kind": []}, {"kind": "conv"}, [1] * 300,
    ]),
    st.text(max_size=20), st.integers(), st.floats(),
)  # fmt: skip


def places(tree, path=()):
    """Every place in plain data, as the keys that lead there."""
    yield path
    for key in (
        tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    ):
        yield from places(tree[key], (*path, key))


def parent(tree, path):
    for key in path[:-1]:
        tree = tree[key]
    return tree


@st.composite
def changed(draw, tree):
    """A tree with one to three values replaced, removed, added or nested."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(tree))))
        odd = draw(ODD)
        if not path:
            tree = odd if draw(st.booleans()) else tree
            continue
        holder, key = parent(tree, path), path[-1]
        match draw(st.sampled_from(["replace", "remove", "add", "nest", "copy"])):
            case "remove":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(st.text(max_size=8))] = odd
            case "nest":
                for _ in range(draw(st.sampled_from([1, 60]))):
                    holder[key] = [holder[key]]
            case "copy" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case _:
                holder[key] = odd
    return tree


@st.composite
def damaged(draw, raw):
    """Bytes with some flipped, cut out, repeated or cut off."""
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["flip", "cut off", "cut out", "insert"])):
            case "flip" if data:
                data[at] ^= draw(st.integers(1, 255))
            case "cut off":
                del data[at:]
            case "cut out":
                del data[at : at + draw(st.integers(1, 16))]
            case _:
                data[at:at] = draw(st.sampled_from([b"\0", b"\n", b'"', b"9" * 5000, b"\xff\xff"]))
    return bytes(data)


def check(reader, raw, folder):
    path = folder / reader.file
    path.write_bytes(raw)
    with warnings.catch_warnings(), contextlib.suppress(UserError):
        warnings.simplefilter("ignore")
        reader.read(path)


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
def test_the_sample_is_read(reader, tmp_path):
    path = tmp_path / reader.file
    path.write_bytes(reader.sample())
    reader.read(path)


@pytest.mark.parametrize("reader", TEXT, ids=lambda r: r.name)
def test_wrong_values(reader, tmp_path):
    @settings(max_examples=60, **QUIET)
    @given(changed(reader.tree()))
    def run(tree):
        check(reader, reader.dump(tree), tmp_path)

    run()


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
def test_damaged_bytes(reader, tmp_path):
    @settings(max_examples=40, **QUIET)
    @given(damaged(reader.sample()))
    def run(raw):
        check(reader, raw, tmp_path)

    run()
