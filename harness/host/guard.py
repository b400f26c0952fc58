"""A guard that outlives the harness: where that dies, all that lives in a cgroup of ours dies within two seconds.

`prctl(PR_SET_PDEATHSIG)` reaches the daemon itself, and not what the daemon has started: its containerd's shims and
the steps of builds; nor what apt has started, which is in its process group. The guard is a shell that waits on a pipe
whose other end only the harness has. The kernel closes that end when the harness dies, however it dies; a harness that
ends in order says so first.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from harness.core.errors import CommandMissing
from harness.host.cgroup import ROOT

_WAIT_SECONDS: Final = 2.0
_OF_GROUPS: Final = """
read -r said && exit 0
for leader in "$@"; do kill -s KILL -- "-$leader"; done
"""
_OF_CGROUP: Final = """
read -r said && exit 0
left=20
while [ $left -gt 0 ]; do
    found=
    for top in "$@"; do
        [ -d "$top" ] || continue
        if [ -e "$top/cgroup.kill" ]; then echo 1 > "$top/cgroup.kill"; fi
        for pid in $(find "$top" -name cgroup.procs -exec cat {} +); do
            if [ "$pid" -ne 0 ]; then found=1; kill -KILL "$pid"; fi
        done
    done
    [ -n "$found" ] || exit 0
    left=$((left - 1))
    sleep 0.1
done 2> /dev/null
"""
"""One line means that the harness ends in order; the end of the pipe without one, that the harness has died."""


@contextmanager
def guarded(cgroup: str) -> Iterator[None]:
    """SIGKILL every process of a cgroup if this process dies before leaving the context.

    Args:
        cgroup: its name below the root of every hierarchy; one that is not there has no processes.

    Raises:
        CommandMissing: this host has no shell.
    """
    tops = [
        ROOT / cgroup,
        *(each / cgroup for each in sorted(ROOT.iterdir()) if each.is_dir() and not each.is_symlink()),
    ]
    with _standing_by(_OF_CGROUP, *map(str, tops)):
        yield


@contextmanager
def guarded_groups(*leaders: int) -> Iterator[None]:
    """SIGKILL every process of some groups if this process dies before leaving the context.

    Args:
        leaders: the processes that they are named after, children of ours. A number can be another group's only once
            all of the group have ended, and the leader is reaped: keep the context short where that may happen.

    Raises:
        CommandMissing: this host has no shell.
    """
    with _standing_by(_OF_GROUPS, *map(str, leaders)):
        yield


@contextmanager
def _standing_by(script: str, *words: str) -> Iterator[None]:
    try:
        guard = subprocess.Popen(
            ["/bin/sh", "-c", script, "repro-guard", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is the harness's to answer
            cwd="/",
        )
    except OSError as error:
        raise CommandMissing("/bin/sh", str(error.strerror)) from error
    try:
        yield
    finally:
        with suppress(OSError, subprocess.TimeoutExpired):
            guard.communicate(b"done\n", timeout=_WAIT_SECONDS)
