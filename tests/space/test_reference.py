"""docs/search-space.md says what the code says."""

from conftest import ROOT

from nas.arch.block import searchable_kinds
from nas.space.reference import page


def test_the_committed_page_is_current():
    """Else: python -m nas.space.reference > docs/search-space.md"""
    assert (ROOT / "docs/search-space.md").read_text(encoding="utf-8") == page()


def test_every_key_has_its_range_default_and_meaning():
    found = page()
    assert "| depth | choice of integer 0 to 32 |  | how many blocks |" in found
    assert "| kernel | choice of odd integer 1 to 11 | 3 | its side |" in found
    assert "| channels | integer 1 to 4 | nothing | 1 grey, 3 colour" in found
    assert "| hidden | choice of width, list of widths, or 0 | 0 |" in found
    assert all(f"### `{kind}`" in found for kind in searchable_kinds())
    assert "choice of none, eca, coordinate" in found
