import json

import pytest
from conftest import REFERENCES

from nas.arch.genome import Conv, Genome, Head, Input, Stage, read_genome
from nas.common.errors import UserError


def changed(genome, path, value):
    data = json.loads(genome.to_json())
    del data["id"]
    at = data["genome"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(data)


def test_proposed_has_its_golden_id(proposed):
    assert proposed.id == "3fccb0f2dfab"


@pytest.mark.parametrize("path", REFERENCES, ids=lambda p: p.stem)
def test_references_round_trip(path):
    genome, beside = read_genome(path)
    again = Genome.from_json(genome.to_json(name="x"))
    assert again == genome
    assert again.id == genome.id
    assert beside["name"] == path.stem


def test_numbers_hash_alike(proposed):
    text = changed(proposed, ("head", "dropout"), 0)
    text_float = changed(proposed, ("head", "dropout"), 0.0)
    assert Genome.from_json(text).id == Genome.from_json(text_float).id == proposed.id


def test_resize_to_the_same_size_is_not_expressed(proposed):
    assert Genome.from_json(changed(proposed, ("input", "resize"), 48)).id == proposed.id
    assert Genome.from_json(changed(proposed, ("input", "resize"), 40)).id != proposed.id


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("stages", 0, "blocks", 0, "kernel"), 4,
         r"best.json: genome.stages\[0\].blocks\[0\].kernel: must be odd, got 4"),
        (("stages", 0, "blocks", 0, "kind"), "cnov", r"unknown block 'cnov'.*did you mean 'conv'"),
        (("stages", 0, "blocks", 0, "activation"), False, "YAML reads unquoted"),
        (("stages", 0, "blocks", 0, "chanels"), 3, "did you mean 'channels'"),
        (("num_classes",), 1, r"must be in \[2, 1000\]"),
        (("num_classes",), "7", "must be a number|got the text"),
        (("head", "dropout"), float("nan"), "must be finite"),
        (("stages",), [], "at least one block"),
        (("stages",), [{"blocks": []}] * 300, "at most 256"),
        (("bias",), 1, "must be true or false"),
    ],
)  # fmt: skip
def test_errors_name_the_place(proposed, path, value, message):
    with pytest.raises(UserError, match=message):
        Genome.from_json(changed(proposed, path, value), "best.json")


def test_files_of_other_formats_are_refused(proposed):
    data = json.loads(proposed.to_json())
    for key, value, message in (
        ("format", "fer-nas.genome/9", "not understood; this version reads"),
        ("id", "000000000000", "does not fit the genome"),
        ("surprise", 1, "unknown key 'surprise'"),
    ):
        with pytest.raises(UserError, match=message):
            Genome.from_json(json.dumps({**data, key: value}))
    with pytest.raises(UserError, match="not valid JSON"):
        Genome.from_json("{")
    with pytest.raises(UserError, match="not valid JSON"):
        Genome.from_json("[" * 100_000)


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"no\.json: cannot read: No such file"):
        read_genome(tmp_path / "no.json")


def test_a_convolutional_head_has_no_hidden_layers():
    plain = Genome(Input(), 7, (Stage((Conv(4),)),), Head("conv")).to_dict()
    plain["head"]["hidden"] = [{"units": 8}]
    with pytest.raises(UserError, match=r"head.hidden: must be empty"):
        Genome.from_dict(plain)
