"""Names of version 0.1 that are no keys of a settings file."""

from nas.common.aliases import attribute, present


def test_a_file_under_its_name_of_version_0_1(tmp_path):
    path, old = tmp_path / "precision.json", tmp_path / "mode.json"
    assert present(path) == path
    old.write_text("{}")
    assert present(path) == old
    path.write_text("{}")
    assert present(path) == path


def test_an_attribute_under_its_name_of_version_0_1():
    assert attribute("precision", {"mode": 1}) == 1
    assert attribute("precision", {"mode": 1, "precision": 2}) == 2
    assert attribute("precision", {}) is None
