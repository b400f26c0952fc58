"""A test's own disk is filled, and never this host's."""

from pathlib import Path

import pytest

from tests.support.small_disk import fill


def test_only_a_disk_of_its_own_is_filled(tmp_path: Path) -> None:
    """A folder where nothing is mounted any longer is refused, before a byte of it is taken."""
    with pytest.raises(NotADirectoryError, match="no disk of its own"):
        fill(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []
