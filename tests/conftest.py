"""What tests of every part share: the event loop, an empty cache, and processes that never outlive their test."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import pytest
from hypothesis import settings

from harness.host.cache import CacheUnusable, cache_folder
from tests.support.eventually import eventually
from tests.support.given_back import still_in_use

_LONGEST: Final = (
    "test_scenarios",
    "test_bisect",
    "test_capture",
    "test_leak",
    "test_compare",
    "test_soak",
    "test_safety",
)
"""Files with real daemons that take minutes."""

settings.register_profile("shared", deadline=None)  # a busy machine is slow now and then, which is no fault of the code
settings.load_profile("shared")

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of tests start `repro`, and none is to compile it anew
os.environ.setdefault("REPRO_REPORT", "no")  # of the hundreds of runs that tests make, a report is looked at of few

for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    # A shell that starts the tests in the background, or nohup, has them ignore these, and so has all that they start.
    if signal.getsignal(each) is signal.SIG_IGN:
        signal.signal(each, signal.default_int_handler if each is signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, real daemons and then whole runs, so that no worker is left alone with it."""
    system = Path(__file__).parent / "system"

    def place(item: pytest.Item) -> tuple[bool, bool, bool]:
        is_run = hasattr(item.module, "write_scenario")  # type: ignore[attr-defined]
        return system not in item.path.parents, item.path.stem not in _LONGEST, not is_run

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def writable_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have another cache where the user's cannot be written, as in a home that can only be read."""
    with pytest.MonkeyPatch.context() as patch:
        try:
            with TemporaryFile(dir=cache_folder("tests")):
                pass
        except (CacheUnusable, OSError):
            patch.setenv("REPRO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the harness runs on."""
    return "asyncio"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of the harness; what runs that were killed have left is given back with it."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("REPRO_CACHE", str(folder))
    yield folder
    monkeypatch.setenv("REPRO_CACHE", str(folder))
    assert not still_in_use()


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program in a session of its own, its output in a pipe; it and its group end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*argv: str | Path) -> subprocess.Popen[str]:
        popen = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(popen)
        return popen

    yield start
    for popen in started:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.communicate()


@pytest.fixture(name="eventually")
def eventually_() -> Callable[[Callable[[], bool]], bool]:
    """Ask until the answer is yes, for a while: what the kernel does to other processes takes its time."""
    return eventually
