"""A static busybox: what is static, and where one comes from."""

import shutil
import struct
import sys
from pathlib import Path

import pytest

from harness.toolchain.base_image import NoStaticBusybox, is_static, static_busybox

pytestmark = pytest.mark.anyio


def elf(*segments: int, bits: int = 64, order: str = "<") -> bytes:
    """Return the headers of an ELF program with segments of these types."""
    wide = bits == 64
    layout = struct.Struct(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"))
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    size = 56 if wide else 32
    start = len(identity) + layout.size
    header = layout.pack(2, 62, 1, 0, start, 0, 0, start, size, len(segments), 0, 0, 0)
    return identity + header + b"".join(struct.pack(order + "I", kind).ljust(size, b"\0") for kind in segments)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One empty folder on PATH, an empty cache, and no network."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REPRO_DEBIAN_MIRROR", "http://127.0.0.1:1")
    return folder


def executable(path: Path, content: bytes) -> Path:
    """Make an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("content", "static"),
    [
        (elf(6, 1, 1), True),
        (elf(1, 2), True),
        (elf(6, 3, 1), False),
        (elf(1, bits=32), True),
        (elf(1, 3, bits=32, order=">"), False),
        (elf(), False),
        (elf(1)[:40], False),
        (elf(1)[:66], False),
        (b"\x7fELF", False),
        (b"#!/bin/sh\n", False),
        (b"", False),
    ],
    ids=["static", "pie", "dynamic", "32", "32-dynamic", "object", "cut", "cut-later", "magic", "script", "empty"],
)
def test_static_is_without_loader(tmp_path: Path, content: bytes, static: bool) -> None:
    """A program is static if it has segments and none names a loader; what is no whole ELF program is not."""
    assert is_static(executable(tmp_path / "program", content)) is static


@pytest.mark.skipif(sys.platform != "linux", reason="the host's own programs are no ELF files")
def test_a_real_shell_is_dynamic(tmp_path: Path) -> None:
    """A real program of the host that needs its libc is not static, nor is one that is not there."""
    assert not is_static(Path(shutil.which("sh") or "sh").resolve())
    assert not is_static(tmp_path / "none")


async def test_one_on_path_that_is_static(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first static one on PATH is taken; a dynamic one before it is passed over."""
    executable(bare / "busybox", elf(3, 1))
    static = executable(tmp_path / "later/busybox", elf(1))
    monkeypatch.setenv("PATH", f"{bare}:{static.parent}")
    assert await static_busybox() == static


@pytest.mark.usefixtures("bare")
async def test_then_the_cache(tmp_path: Path) -> None:
    """What was fetched once is used without PATH and network."""
    kept = executable(tmp_path / "cache/base-image/busybox", elf(1))
    assert await static_busybox() == kept


@pytest.mark.usefixtures("bare")
async def test_none_at_all(tmp_path: Path) -> None:
    """Where none can be had the error says why and what to install, and nothing is left."""
    with pytest.raises(NoStaticBusybox, match=r"PATH has none, and no apt-get .*; install busybox-static"):
        await static_busybox()
    assert list((tmp_path / "cache/base-image").iterdir()) == []


@pytest.mark.system
@pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt-get on this host")
async def test_debians_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's archive gives a static one, which is then there without the network."""
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path))
    folders = [folder for folder in ("/usr/bin", "/usr/sbin") if not Path(folder, "busybox").exists()]
    monkeypatch.setenv("PATH", ":".join(folders))
    fetched = await static_busybox()
    assert is_static(fetched)
    monkeypatch.setenv("REPRO_DEBIAN_MIRROR", "http://127.0.0.1:1")
    assert await static_busybox() == fetched
