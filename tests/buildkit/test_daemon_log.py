"""BuildKit's debug log: what it says of merges, clients' files and removals."""

from harness.buildkit.daemon_log import LocalFiles, Merge, Removal, read_log

S, T = "sha256:5c8abf5f408762f68f32e665c20a27ded8f825bda3c8722ca6fd2a35efbd74a6", "sha256:8e1ab308091b83b4606af3f2735e4"
LOG = rf"""time="2026-11-28T06:56:04Z" level=info msg="auto snapshotter: using overlayfs"
time="2026-11-28T06:56:05Z" level=debug msg="new ref for local: 5ad5ljb99o95wh9w8vhhul3iv" span="[internal] load build context" spanID=5f8ea95ee5203585 traceID=ebf418643ed6be10df582b75a35fb812
time="2026-11-28T06:56:07Z" level=debug msg="saved 5ad5ljb99o95wh9w8vhhul3iv as context:context:" span="[internal] load build context" traceID=ebf418643ed6be10df582b75a35fb812
time="2026-11-28T06:56:07Z" level=debug msg="merging edges" dest_index=0 dest_vertex_digest="{T}" dest_vertex_name="[base 2/2] RUN [\"/bin/busybox\", \"sh\"]" source_edge_index=0 source_edge_vertex_digest="{S}" source_edge_vertex_name="x"
time="2026-11-28T06:56:07Z" level=debug msg="not reusing ref 5ad5ljb99o95wh9w8vhhul3iv for local: it is locked: locked" span="[internal] load build context" traceID=1
Canceled: context canceled
	/src/cmd/buildkitd/main.go:718 remove snapshot
time="2026-11-28T06:56:10Z" level=debug msg="remove snapshot" key=5ad5ljb99o95wh9w8vhhul3iv snapshotter=overlayfs spanID=f4e3218b166bb691 traceID=814b47749ad0a8161ad60b33b9e259e6
time="2026-11-28T06:56:10Z" level=debug msg="removed snapshot" key=buildkit/5/5ad5ljb99o95wh9w8vhhul3iv snapshotter=overlayfs
time="2026-11-28T06:56:11Z" level=debug msg="remove snapshot" key=lygawqpww6h18eihle48d8jqz snapshotter=overlayfs
time="2026-11-28T06:56:12Z" level=debug msg="reusing ref for local: pnk6xdenmm9xq0343azaxe318" span="[internal] load .dockerignore" traceID=8523
"""  # noqa: E501 — lines as a daemon writes them
FIRST = 1795848964.0
"""The first line's time, in seconds since 1970."""


def test_events() -> None:
    """Merges, files and removals are told with their lines, times and traces; what only looks like them is none."""
    log = read_log(LOG.splitlines())
    context, trace = "[internal] load build context", "ebf418643ed6be10df582b75a35fb812"
    assert log.events == (
        LocalFiles(2, FIRST + 1, "5ad5ljb99o95wh9w8vhhul3iv", reused=False, step=context, trace=trace),
        Merge(4, FIRST + 3, S, T, '[base 2/2] RUN ["/bin/busybox", "sh"]'),
        Removal(8, FIRST + 6, "5ad5ljb99o95wh9w8vhhul3iv", "814b47749ad0a8161ad60b33b9e259e6"),
        Removal(10, FIRST + 7, "lygawqpww6h18eihle48d8jqz", ""),
        LocalFiles(11, FIRST + 8, "pnk6xdenmm9xq0343azaxe318", True, "[internal] load .dockerignore", "8523"),
    )
    assert (len(log.files), len(log.merges), len(log.removals)) == (2, 1, 2)
    assert (log.since, log.debug) == (FIRST, True)


def test_without_debug_lines() -> None:
    """A log of another level, or of nothing, says nothing, and says that it does."""
    log = read_log(LOG.splitlines()[:1])
    assert (log.events, log.since, log.debug) == ((), FIRST, False)
    assert read_log([]).since is None


def test_lines_that_are_damaged() -> None:
    """Half a line, a time that is none, and bytes from elsewhere are passed over."""
    lines = ['time="no time" level=debug msg="merging edges"', 'msg="remove snapshot', "\0merging edges\0"]
    assert read_log(lines).events == ()
