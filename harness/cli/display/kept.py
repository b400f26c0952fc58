"""How to get at a daemon that a run has left running."""

from collections.abc import Iterator

from harness.core.manifest import RunManifest
from harness.host.cache import CacheMisnamed, CacheUnusable
from harness.host.ledger import ledgers


def kept_lines(manifest: RunManifest | None) -> Iterator[str]:
    """Yield the commands that examine a run's kept daemon; nothing if none was kept, or it has ended."""
    kept = manifest.kept if manifest else None
    if kept is None:
        return
    pid = kept.builder or kept.pid
    try:
        found = [ledger for ledger in ledgers() if ledger.sees_processes]
    except (CacheMisnamed, CacheUnusable):  # of a run that is shown elsewhere than where it was
        return
    owned = {process.pid for ledger in found for process in ledger.processes if process.alive()}
    if kept.pid not in owned:
        return
    yield f"kept: {kept.kind} {kept.version}, pid {pid}, at {kept.address}; `repro clean` ends it"
    yield f"    dlv attach {pid}"
    yield f"    gdb -p {pid}"
    debug = kept.details.get("debug_socket")
    if debug:
        yield f"    curl --unix-socket {debug} 'http://daemon/debug/pprof/goroutine?debug=2'"
    yield f"    kill -QUIT {pid}    its goroutines go to {kept.log}, and it ends"
