"""Signatures of errors: the same for one kind of error, whatever its ids; another for another kind."""

import pytest

from harness.buildkit.failures import diagnose_failure, known_failure, name_of, signature_of

D1 = "sha256:" + "6a28f0c3" * 8
D2 = "sha256:" + "19be44d7" * 8

SAME = {
    "parent snapshot, of three clients": (
        f"ERROR: failed to build: failed to solve: parent snapshot {D1} does not exist: not found",
        f"ERROR: failed to solve: parent snapshot {D2} does not exist: not found",
        f"error: failed to solve: parent snapshot {D2} does not exist: not found",
        f"target app: failed to solve: parent snapshot {D1} does not exist: not found",
    ),
    "extraction": (
        f'failed to prepare extraction snapshot "extract-215410243-v8Gx {D1}": parent snapshot {D2} does not exist: '
        "not found",
        f'failed to prepare extraction snapshot "extract-99-_-aB {D2}": parent snapshot {D1} does not exist: not found',
    ),
    "checksum of a ref": (
        "failed to compute cache key: failed to calculate checksum of ref 8xqz0vd8mpfo5qfuqbqdd1mwk::"
        'y1q2w3e4r5t6y7u8i9o0p1a2s: "/app": not found',
        "failed to compute cache key: failed to calculate checksum of ref p0o9i8u7y6t5r4e3w2q1a2s3d::"
        'q1w2e3r4t5y6u7i8o9p0a1s2d: "/srv/other": not found',
    ),
    "locked": (
        f"ref moby/5/layer-{D1} locked for 305.3ms (since 2025-01-02 03:04:05.123456 +0000 UTC m=+12.345): unavailable",
        f"ref moby/17/layer-{D2} locked for 1m2.5s (since 2025-11-30 13:14:15.9 +0000 UTC m=+9912.001): unavailable",
    ),
    "a server's answer": (
        f"failed to push 127.0.0.1:40211/ci-0:latest: unexpected status from PUT request to "
        f"http://127.0.0.1:40211/v2/ci-0/blobs/uploads/2f6c1b1e-8f0c-4f0e-9d1a-0123456789ab?_state=a%3D&digest={D1}: "
        "413 Request Entity Too Large",
        f"failed to push 127.0.0.1:35001/ci-3:latest: unexpected status from PUT request to "
        f"http://127.0.0.1:35001/v2/ci-3/blobs/uploads/ffffffff-8f0c-4f0e-9d1a-0123456789ab?digest={D2}: "
        "413 Request Entity Too Large",
    ),
    "dial": (
        "dial unix /run/repro-20250101T000000Z-ab12/buildkitd.sock: connect: no such file or directory",
        "dial unix /run/user/1000/buildkit/buildkitd.sock: connect: no such file or directory",
    ),
    "reset": (
        "read tcp 127.0.0.1:51022->127.0.0.1:5000: read: connection reset by peer",
        "read tcp 127.0.0.1:51024->127.0.0.1:40001: read: connection reset by peer",
    ),
    "ipv6": (
        "dial tcp [::1]:5000: connect: connection refused",
        "dial tcp [fe80::2]:40001: connect: connection refused",
    ),
    "size": (
        f'failed commit on ref "layer-{D1}": "layer-{D1}" failed size validation: 4096 != 8192: failed precondition',
        f'failed commit on ref "layer-{D2}": "layer-{D2}" failed size validation: 1 != 8193: failed precondition',
    ),
    "full": (
        "write /var/lib/docker/tmp/buildkit-mount2381/f: no space left on device",
        "write /root/.cache/repro/daemons/x/disk/root/runc-overlayfs/snapshots/3/fs/a_b: no space left on device",
    ),
    "mount": (
        "failed to mount /tmp/containerd-mount1234567: no such file or directory",
        "failed to mount /tmp/containerd-mount99: no such file or directory",
    ),
    "a step": (
        'process "/bin/sh -c sleep 3; exit 3" did not complete successfully: exit code: 3',
        'process "/bin/sh -c sleep 9; exit 3" did not complete successfully: exit code: 3',
    ),
    "lease": (
        'lease "1738c1d2e3f4a5b6": not found',
        'lease "99aac1d2e3f4a5b60": not found',
    ),
    "graph": (
        "failed to solve: inconsistent graph state in edge [build 3/7] RUN make",
        "failed to solve: inconsistent graph state in edge [build 12/17] RUN make",
    ),
    "colours, and a log's beginning": (
        "\x1b[31mERROR: failed to solve: Canceled: context canceled\x1b[0m",
        "ERROR: failed to solve: Canceled: context canceled",
    ),
    "container": (
        "container 3f2a9b8c7d6e5f40112233445566778899aabbccddeeff00112233445566aabb is not running",
        "container 0aaa9b8c7d6e5f40112233445566778899aabbccddeeff00112233445566aabb is not running",
    ),
    "deadline": (
        "timed out after 30s waiting for 12 builds",
        "timed out after 1m30s waiting for 3 builds",
    ),
}


@pytest.mark.parametrize("texts", SAME.values(), ids=[*SAME])
def test_one_kind_has_one_signature(texts: tuple[str, ...]) -> None:
    """Ids, digests, paths, addresses, times and numbers make no other kind of an error."""
    assert len({signature_of(text) for text in texts}) == 1, [signature_of(text) for text in texts]


OTHER = [
    *(texts[0] for texts in SAME.values()),
    "unexpected status from PUT request to http://127.0.0.1:1/v2/a: 500 Internal Server Error",
    "unexpected status from PUT request to http://127.0.0.1:1/v2/a: 429 Too Many Requests",
    "unexpected status code 503 of http://127.0.0.1:1/v2/a",
    "unexpected status code 502 of http://127.0.0.1:1/v2/a",
    'process "/bin/sh -c exit 3" did not complete successfully: exit code: 137',
    "Canceled: context deadline exceeded",
    "Internal: not found",
    "Internal: rpc error: code = Internal desc = content: not found",
    "no match for platform in manifest: not found",
    "",
]


def test_other_kinds_have_other_signatures() -> None:
    """What names a kind stays: words, the status of a process, the answer of a server."""
    assert len({signature_of(text) for text in OTHER}) == len(OTHER), sorted(map(signature_of, OTHER))


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        (SAME["parent snapshot, of three clients"][0], "parent snapshot <digest> does not exist: not found"),
        (SAME["locked"][0], "ref moby/N/<digest> locked for <duration> (since <time>): unavailable"),
        (SAME["reset"][0], "read tcp <address>-><address>: read: connection reset by peer"),
        (OTHER[-6], 'process "<path> -c exit N" did not complete successfully: exit code: 137'),
    ],
)
def test_what_a_signature_looks_like(text: str, signature: str) -> None:
    """It can be read, and is what a person would search for."""
    assert signature_of(text) == signature


def test_long_errors_are_cut() -> None:
    """A step's output does not become the name of a kind, and takes no time."""
    assert len(signature_of("x /a/b 12 " * 100_000)) <= 300


@pytest.mark.parametrize("text", [text for texts in SAME.values() for text in texts])
def test_signature_of_a_signature_is_itself(text: str) -> None:
    """So that what a table shows can be looked up again."""
    assert signature_of(signature_of(text)) == signature_of(text)


def test_known_ones_are_named() -> None:
    """A reported error has a name and a link; another has a name that is the same in every run."""
    known = diagnose_failure(SAME["extraction"][0], late=False)
    assert (known.signature, known.known, known.link) == ("parent-snapshot-missing", True, "moby/buildkit#6521")
    gone = "wdvza44cbfylw1vbtusywgpeo"
    error = f"failed to prepare {gone} as x6wm0wzc2idftae8lzp0tr06s: parent snapshot {gone} does not exist: not found"
    released = diagnose_failure(f"error: failed to solve: {error}", late=False)
    assert (released.signature, released.known) == ("failed-copy-releases", True)
    assert released.fixed_in == {"BuildKit": "v0.31.0", "Engine": "29.6.0"}
    other = diagnose_failure(SAME["full"][0], late=True)
    assert (other.known, other.signature) == (False, name_of(signature_of(SAME["full"][1])))
    assert other.sentence.startswith("failure after the export, not known: write <path>: no space left")
    assert known_failure(signature_of("Internal: not found")) is not None
