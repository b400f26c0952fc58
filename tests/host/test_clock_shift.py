"""A process's clock: it alone sees the jump, for as long as that lasts, and its other clocks see none."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from harness.host.clock_shift import NoClockShift, clock_shifted

HOUR = 3600
_SHOWS = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


@pytest.fixture
def shows() -> Iterator[subprocess.Popen[str]]:
    """A process that says, for each line that it is told, what time it is for it."""
    argv = [sys.executable, "-I", "-S", "-c", _SHOWS]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def ahead(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Return how far its wall clock, and its monotonic clock, are ahead of ours, in whole minutes."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    wall, monotonic = (float(each) for each in process.stdout.readline().split())
    return round((wall - time.time()) / 60), round((monotonic - time.monotonic()) / 60)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_jumps_and_jumps_back(shows: subprocess.Popen[str], seconds: int) -> None:
    """The wall clock of that process jumps, and is right again afterwards; its monotonic clock and ours go on."""
    assert ahead(shows) == (0, 0)
    before = time.time()
    with clock_shifted(shows.pid, seconds):
        assert ahead(shows) == (seconds // 60, 0)
        assert 0 <= time.time() - before < HOUR / 2
    assert ahead(shows) == (0, 0)


def test_one_jump_at_a_time(shows: subprocess.Popen[str]) -> None:
    """A second jump meanwhile is refused, and the first ends as if it had not been asked for."""
    with clock_shifted(shows.pid, HOUR):
        with pytest.raises(NoClockShift, match="one jump at a time"), clock_shifted(shows.pid, -HOUR):
            pass
        assert ahead(shows) == (60, 0)
    assert ahead(shows) == (0, 0)


def test_one_that_is_gone(shows: subprocess.Popen[str]) -> None:
    """A process that ends meanwhile needs no healing; one that is gone has no clock, and that is said."""
    with clock_shifted(shows.pid, HOUR):
        shows.kill()
        shows.wait()
    with pytest.raises(NoClockShift, match=f"process {shows.pid} alone"), clock_shifted(shows.pid, HOUR):
        pass
