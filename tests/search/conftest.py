"""What tests of the search share."""

import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def short(monkeypatch):
    """Where temporary files go meanwhile; pytest's own is too long a name for sockets."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)
