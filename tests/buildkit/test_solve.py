"""The messages of a build: the request has its fields, progress reads as a client's, and files keep their kind."""

import json
import stat

import pytest

from harness.buildkit.progress import Progress
from harness.buildkit.solve import DATA, REQUEST, Packet, SolveMessage, progress_line, told, wanted
from harness.buildkit.wire import entries, fields, message, nested, number
from harness.core.outcome import Phase


def test_a_request_names_its_exporter_for_old_daemons_and_new_ones() -> None:
    """Both forms say the same, and what the frontend is told comes along."""
    sent = SolveMessage("r", "s", {"build-arg:N": "7"}, "image", {"name": "a:latest"}).encoded()
    assert [*fields(sent)] == [
        (1, b"r"),
        (3, b"image"),
        *entries(4, {"name": "a:latest"}),
        (5, b"s"),
        (6, b"dockerfile.v0"),
        *entries(7, {"build-arg:N": "7"}),
        (13, message([(1, "image"), *entries(2, {"name": "a:latest"})])),
    ]


def test_progress_reads_as_a_clients() -> None:
    """A build's phases are seen in it, and times are the daemon's."""
    began, ended = message([(1, 1_700_000_000), (2, 5_000_000)]), message([(1, 1_700_000_001)])
    export: list[tuple[int, str | bytes]] = [(1, "sha256:e"), (3, "exporting to image"), (5, began)]
    step = message([(1, "sha256:s"), (2, "sha256:i"), (2, "sha256:j"), (3, "[1/1] RUN x"), (4, True)])
    log = message([(1, "sha256:s"), (3, 1), (4, b"hello")])
    progress = Progress(0.0)
    line = progress_line(message([(1, step), (3, log), (4, b"\x08\x01")]))
    assert json.loads(line) == {
        "vertexes": [{"digest": "sha256:s", "inputs": ["sha256:i", "sha256:j"], "name": "[1/1] RUN x", "cached": True}],
        "logs": [{"vertex": "sha256:s", "stream": 1, "data": "aGVsbG8="}],
    }
    assert progress.feed(line, 1.0).phases == (Phase.SOLVING,)
    assert progress.feed(progress_line(message([(1, message(export))])), 2.0).phases == (Phase.EXPORTING,)
    done = progress_line(message([(1, message([*export, (6, ended)]))]))
    assert progress.feed(done, 3.0).phases == (Phase.EXPORTED,)
    assert progress.vertexes["sha256:e"].started == "2023-11-14T22:13:20.005000000Z"


def test_a_packet_comes_back() -> None:
    """What the daemon asks for is the file of that place; a packet without data is the end of one."""
    assert Packet.decoded(Packet(REQUEST, 3).encoded()) == Packet(REQUEST, 3)
    assert Packet.decoded(Packet(DATA, 0, b"x").encoded()) == Packet(DATA, 0, b"x")


@pytest.mark.parametrize(
    ("mode", "bits"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | stat.S_ISVTX | 0o777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFREG | stat.S_ISUID | stat.S_ISGID | 0o755, 1 << 23 | 1 << 22 | 0o755),
    ],
)
def test_what_a_file_is(mode: int, bits: int) -> None:
    """Its kind and rights are told in Go's bits."""
    packet = dict(fields(told("a/b", mode, 5, 9).encoded()))
    assert number(dict(fields(nested(packet[2])))[2]) == bits


@pytest.mark.parametrize(
    ("path", "patterns", "is_wanted"),
    [
        ("a", [], True),
        ("Dockerfile", ["Dockerfile", "Dockerfile.dockerignore"], True),
        ("busybox", ["Dockerfile"], False),
        ("src/a.c", ["/src"], True),
        ("src", ["src/*.c"], True),
        ("src/a.h", ["src/*.c"], False),
        ("x/y/z", ["**/z"], True),
        ("b", ["."], True),
    ],
)
def test_what_is_asked_for(path: str, patterns: list[str], is_wanted: bool) -> None:
    """A path is sent that matches, and what is above and below it."""
    assert wanted(path, patterns) is is_wanted
