"""What is found of daemons that run already: by real sockets and processes, and without a word to them where it can."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from harness.attach.daemon import Endpoint, NoSuchDaemon, _debug_pages, _journal, client_of, locate, open_found, speaks
from harness.attach.process import DaemonProcess, holder, kind_of
from harness.core.errors import CaptureError, InfraError
from tests.support.pretend_daemon import start

pytestmark = pytest.mark.anyio
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a name that leaves room for a socket's: 107 bytes in all."""
    with TemporaryDirectory(prefix="repro-") as folder:
        yield Path(folder)


def test_who_listens(process: Start, short: Path) -> None:
    """The process behind a socket is the one that listens on it, and its name says which kind of daemon it is."""
    daemon = start(process, short / "docker.sock")
    assert holder(short / "docker.sock") == daemon.pid
    assert kind_of(daemon.pid) == "dockerd"
    assert kind_of(os.getpid()) is None


def test_who_was_handed_the_socket(short: Path) -> None:
    """Where another has listened before it started the daemon, as systemd does, the daemon counts."""
    path = short / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert holder(path) == os.getpid()
        named = ("/bin/bash", "-c", "exec -a dockerd sleep 60")
        handed = subprocess.Popen(named, pass_fds=[listener.fileno()])
        try:
            while kind_of(handed.pid) is None:
                assert handed.poll() is None
            assert holder(path) == handed.pid
        finally:
            handed.kill()
            handed.wait()


def test_who_accepts_nobody(process: Start, short: Path) -> None:
    """A daemon whose queue of connections is full, as that of a frozen one comes to be, is found all the same."""
    path = short / "docker.sock"
    daemon = start(process, path)
    os.kill(daemon.pid, 19)  # SIGSTOP
    with ExitStack() as held:
        full = False
        while not full:
            client = held.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            full = client.connect_ex(str(path)) != 0
        assert holder(path) == daemon.pid


@pytest.mark.parametrize(
    "argv",
    [
        ["dockerd", "--data-root", "/there", "-D"],
        ["dockerd", "-D", "--data-root=/there"],
        ["dockerd", "-g", "/there"],
        ["dockerd", "-data-root=/there"],
    ],
)
def test_options(argv: list[str]) -> None:
    """An option is read in every form that Go's flags and Docker's take."""
    assert [*DaemonProcess(1, "dockerd", argv).options("data-root", "g")] == ["/there"]


def test_root_by_open_databases(process: Start, short: Path) -> None:
    """The root is where the daemon has its databases open, whatever it was told."""
    database = short / "real" / "buildkit" / "cache.db"
    database.parent.mkdir(parents=True)
    database.touch()
    daemon = start(process, short / "docker.sock", "--data-root", "/told", str(database))
    assert DaemonProcess.of(daemon.pid, "dockerd").root() == short / "real"


@pytest.mark.parametrize(
    ("kind", "file", "text", "root"),
    [
        ("dockerd", "daemon.json", '{"data-root": "/configured"}', "/configured"),
        ("dockerd", "daemon.json", "{", "/var/lib/docker"),
        ("buildkitd", "buildkitd.toml", 'root = "/configured"', "/configured"),
        ("buildkitd", "buildkitd.toml", "debug = true", "/var/lib/buildkit"),
    ],
)
def test_root_by_configuration(process: Start, short: Path, kind: str, file: str, text: str, root: str) -> None:
    """The configuration says where the root is, else it is the usual one; one that cannot be read says nothing."""
    (short / file).write_text(text)
    option = "--config-file" if kind == "dockerd" else "--config"
    daemon = start(process, short / "a.sock", option, str(short / file), name=kind)
    assert DaemonProcess.of(daemon.pid, kind).root() == Path(root)


def test_log(process: Start, short: Path) -> None:
    """A daemon's log is the file that it prints to; a pipe is none."""
    log = short / "log"
    with log.open("w") as output:
        daemon = subprocess.Popen(["/bin/sleep", "60"], stdout=output, stderr=output)
    try:
        assert DaemonProcess.of(daemon.pid, "dockerd").log() == log
    finally:
        daemon.kill()
        daemon.wait()
    piped = process("sh", "-c", "exec sleep 60 2>&1")
    assert DaemonProcess.of(piped.pid, "dockerd").log() is None


def test_cgroup() -> None:
    """The cgroup is one that there is, below the root of a hierarchy; that root itself counts as none."""
    name = DaemonProcess.of(os.getpid(), "dockerd").cgroup()
    told = Path("/proc/self/cgroup").read_text()
    if name is None:
        assert ":memory:/\n" in told or told == "0::/\n"
    else:
        assert f"/{name}\n" in told
        assert any((root / name).is_dir() for root in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()))


def test_other_files(short: Path) -> None:
    """Paths of a daemon that sees other files lead through its process, and no client from beside it is run."""
    apart = DaemonProcess(7, "buildkitd", ["/usr/bin/buildkitd"], {}, apart=True)
    assert apart.reached("/run/buildkit/buildkitd.sock") == Path("/proc/7/root/run/buildkit/buildkitd.sock")
    assert DaemonProcess(7, "buildkitd", [], {}).reached(str(short)) == short


async def serve(path: Path, answer: bytes, told: anyio.Event) -> None:
    """Answer every connection with the same, without a look at what is asked."""
    listener = await anyio.create_unix_listener(path)
    told.set()

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError):  # one that only wants to know who listens
                await stream.send(answer)
            await anyio.sleep(60)

    async with listener:
        await listener.serve(handle)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\n\r\nOK", "dockerd"),
        (b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\n\r\n", None),
        (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00", "buildkitd"),
        (b"220 mail.example.org ESMTP\r\n", None),
        (b"", None),
    ],
    ids=["docker", "web", "grpc", "mail", "silence"],
)
async def test_what_speaks(short: Path, answer: bytes, kind: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's API and a gRPC server are told apart by their first bytes, and from everything else, in bounded time."""
    monkeypatch.setattr("harness.attach.daemon._TELL_SECONDS", 60.0 if kind else 0.5)
    async with anyio.create_task_group() as tasks:
        listening = anyio.Event()
        tasks.start_soon(serve, short / "a.sock", answer, listening)
        await listening.wait()
        assert await speaks(short / "a.sock") == kind
        tasks.cancel_scope.cancel()


async def test_by_pid(process: Start, short: Path) -> None:
    """Of several sockets, that one is taken which the daemon was told to serve its API on."""
    path = short / "engine.sock"
    daemon = start(process, path, "--host", f"unix://{path}")
    place = await locate(str(daemon.pid))
    assert (place.kind, place.address) == ("dockerd", f"unix://{path}")
    assert place == await locate(str(path)) == await locate(f"unix://{path}")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("/no/such.sock", "there is no /no/such.sock"),
        (__file__, "is no socket"),
        ("4194304", "no process has this id"),  # above the kernel's limit for pids
        (str(os.getpid()), "neither a dockerd nor a buildkitd"),
        ("ssh://somewhere", "not on this host"),
    ],
    ids=["nothing", "file", "no-process", "ourselves", "elsewhere"],
)
async def test_no_such_daemon(spec: str, said: str) -> None:
    """What is no daemon is refused with the reason, and with what is wanted instead."""
    with pytest.raises(NoSuchDaemon, match=said) as error:
        await locate(spec)
    assert "give `host`" in str(error.value)


async def test_hosts_own(process: Start, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`host` is where the user's clients would go."""
    daemon = start(process, short / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short / 'docker.sock'}")
    place = await locate("host")
    assert place.process is not None
    assert place.process.pid == daemon.pid


async def test_what_a_dockerd_tells(process: Start, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dockerd is asked through its socket; a client that is not there is named; what clients wrote is gone."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(short))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("harness.attach.daemon.PLUGIN_FOLDERS", ())
    monkeypatch.setenv("DOCKER_CONFIG", str(short / "users-own"))
    start(process, short / "docker.sock")
    async with open_found(await locate(str(short / "docker.sock"))) as daemon:
        assert daemon.facts.version == "28.3.3"
        assert not daemon.facts.private
        assert await daemon.goroutine_count() == 70
        assert "ExportTo" in await daemon.goroutine_dump(5.0)
        with pytest.raises(InfraError, match="cannot start docker-buildx"):
            await daemon.build_records()
    assert [path.name for path in short.iterdir()] == ["docker.sock"]


async def test_pages_of_a_buildkitd(process: Start, short: Path) -> None:
    """Its debug address is that of its command line or its configuration; of one without, that is said."""
    start(process, short / "buildkitd.sock", name="buildkitd")
    bare = await locate(str(short / "buildkitd.sock"))
    with pytest.raises(CaptureError, match="--debugaddr"):
        await _debug_pages(bare).goroutine_dump(1.0)
    told = start(process, short / "api.sock", "--debugaddr", f"unix://{short / 'api.sock'}", name="buildkitd")
    pages = _debug_pages(await locate(str(told.pid)))
    assert await pages.goroutine_count() == 70
    await pages.close()
    (short / "buildkitd.toml").write_text(f"grpc = {{ debugAddress = {json.dumps(f'unix://{short}/b.sock')} }}\n")
    start(process, short / "b.sock", "--config", str(short / "buildkitd.toml"), name="buildkitd")
    pages = _debug_pages(await locate(str(short / "b.sock")))
    assert await pages.goroutine_count() == 70
    await pages.close()


def printing_to(descriptor: int) -> subprocess.Popen[bytes]:
    """Start what prints there, for a minute."""
    return subprocess.Popen(["/bin/sleep", "60"], stdout=descriptor, stderr=descriptor)


@pytest.mark.parametrize("entries", ["2026-11-25T16:00:00+0000 h dockerd[1]: msg=x", "-- No entries --", ""])
async def test_journal(short: Path, entries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of a daemon that prints to a socket is asked of the journal, by its pid; one of a pipe is of nobody."""
    (short / "journalctl").write_text(f'#!/bin/sh\necho "$@" > "{short}/asked"\necho "{entries}"\n')
    (short / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{short}:{os.environ['PATH']}")
    ours, journal = socket.socketpair()
    with ours, journal:
        daemon = printing_to(journal.fileno())
        try:
            place = Endpoint("dockerd", "", DaemonProcess(daemon.pid, "dockerd", []))
            if entries.startswith("2026"):
                assert await _journal(place, 7) == f"{entries}\n"
                assert f"--lines 7 _PID={daemon.pid}\n" in (short / "asked").read_text()
            else:
                with pytest.raises(CaptureError, match="nothing of this process"):
                    await _journal(place, 7)
        finally:
            daemon.kill()
            daemon.wait()


async def test_no_journal(process: Start) -> None:
    """A daemon that prints to a pipe has no log that we know of, and no journal is asked."""
    piped = process("sh", "-c", "exec sleep 60 2>&1")
    with pytest.raises(CaptureError, match="not known"):
        await _journal(Endpoint("dockerd", "", DaemonProcess(piped.pid, "dockerd", [])), 7)


async def test_behind_a_proxy(short: Path) -> None:
    """What speaks for a daemon, and is none by its name, is not taken for the daemon's process."""
    async with anyio.create_task_group() as tasks:
        listening = anyio.Event()
        tasks.start_soon(serve, short / "a.sock", b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\n\r\nOK", listening)
        await listening.wait()
        place = await locate(str(short / "a.sock"))
        assert (place.kind, place.process) == ("dockerd", None)
        tasks.cancel_scope.cancel()


async def test_client_beside_the_daemon(process: Start, short: Path) -> None:
    """The client is taken from beside the daemon's program as it was called."""
    (short / "buildctl").write_text("#!/bin/sh\n")
    (short / "buildctl").chmod(0o755)
    start(process, short / "a.sock", name=str(short / "buildkitd"))
    place = await locate(str(short / "a.sock"))
    assert client_of(place) == short / "buildctl"
