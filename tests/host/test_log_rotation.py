"""A log that grows is cut, and what writes it goes on."""

from pathlib import Path

from harness.host.log_rotation import rotate


def test_a_large_log_is_cut(tmp_path: Path) -> None:
    """Every line is in the log or in the one beside it, and who appends to it goes on at the new end."""
    log = tmp_path / "daemon.log"
    with log.open("ab", buffering=0) as daemon:
        daemon.write(b"first\n" * 10)
        assert not rotate(log, 60)
        daemon.write(b"second\n")
        assert rotate(log, 60)
        daemon.write(b"third\n")
    assert log.read_text() == "third\n"
    assert (tmp_path / "daemon.log.1").read_text() == "first\n" * 10 + "second\n"


def test_no_log(tmp_path: Path) -> None:
    """A log that is not there, or is a folder or a device, is left alone."""
    assert not rotate(tmp_path / "none", 0)
    assert not rotate(tmp_path, 0)
    assert not rotate(Path("/dev/null"), -1)
