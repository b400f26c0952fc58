"""The isolated apt: which archive, what it touches, and what its failures mean."""

import os
import platform
import shutil
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.toolchain import apt
from harness.toolchain.apt import (
    ArchiveUnreachable,
    ArchiveUnusable,
    KeyringMissing,
    MirrorUnknown,
    PackageMissing,
    SignatureUnverified,
    UnknownSuite,
    debian_mirror,
    diagnosed,
    fetch_packages,
    host_suite,
    suites_to_try,
)

pytestmark = pytest.mark.anyio

system = pytest.mark.system
needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt-get on this host")


@pytest.fixture(autouse=True)
def told_no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """No mirror in the environment."""
    monkeypatch.delenv("REPRO_DEBIAN_MIRROR", raising=False)


@pytest.mark.parametrize(
    ("file", "text", "mirror"),
    [
        ("sources.list", "deb http://a.example/debian/ trixie main contrib\n", "http://a.example/debian"),
        (
            "sources.list.d/b.list",
            "# deb http://no.example/debian trixie main\ndeb [arch=amd64] https://b.example/x/debian trixie main # b\n",
            "https://b.example/x/debian",
        ),
        (
            "sources.list.d/c.sources",
            "Types: deb deb-src\n# URIs: http://no.example/debian\nURIs: http://c.example/debian\n"
            "Suites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
            "http://c.example/debian",
        ),
        (
            "sources.list.d/d.sources",
            "Enabled: no\nTypes: deb\nURIs: http://no.example/debian\nSuites: trixie\nComponents: main\n\n"
            "Types: deb\nURIs: http://d.example/debian-security http://d.example/debian\nSuites: trixie\n"
            "Components:\n main\n contrib\n",
            "http://d.example/debian",
        ),
        ("sources.list", "deb-src http://no.example/debian trixie main\n", None),
        ("sources.list", "deb http://no.example/debian-security trixie-security main\n", None),
        ("sources.list", "deb cdrom:[Debian]/debian trixie main\n", None),
        ("sources.list", "deb https://vendor.example/linux/debian trixie stable\n", None),
        ("sources.list", "deb [signed-by=/etc/v.gpg] https://vendor.example/debian trixie main\n", None),
        ("sources.list", "deb http://archive.example/ubuntu noble main\n", None),
    ],
    ids=["list", "list.d", "deb822", "stanzas", "src", "security", "cdrom", "vendor", "vendor-key", "ubuntu"],
)
def test_the_hosts_own_mirror(tmp_path: Path, file: str, text: str, mirror: str | None) -> None:
    """The host's own source of Debian's packages is found in either format; no other source is taken for it."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    if mirror:
        assert debian_mirror(tmp_path) == mirror
    else:
        with pytest.raises(MirrorUnknown, match="REPRO_DEBIAN_MIRROR"):
            debian_mirror(tmp_path)


def test_the_environment_goes_before_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that the user names is the mirror."""
    (tmp_path / "sources.list").write_text("deb http://a.example/debian trixie main\n")
    monkeypatch.setenv("REPRO_DEBIAN_MIRROR", "http://own.example/d/")
    assert debian_mirror(tmp_path) == "http://own.example/d"


@pytest.mark.parametrize(
    ("system_told", "suite", "tried"),
    [
        ({"ID": "debian", "VERSION_CODENAME": "bookworm"}, "bookworm", ("bookworm", "trixie")),
        ({"ID": "debian", "VERSION_CODENAME": "trixie"}, "trixie", ("trixie",)),
        ({"ID": "ubuntu", "VERSION_CODENAME": "noble"}, None, ("trixie",)),
        ({"ID": "debian"}, None, ("trixie",)),
    ],
    ids=["bookworm", "trixie", "ubuntu", "unnamed"],
)
def test_the_hosts_suite(
    monkeypatch: pytest.MonkeyPatch, system_told: dict[str, str], suite: str | None, tried: tuple[str, ...]
) -> None:
    """Only a Debian host has a Debian suite; what must start here is looked for there, then in the newest stable."""
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system_told)
    assert host_suite() == suite
    assert suites_to_try() == tried


# what apt 2.6.1 prints
NO_SUITE = """\
Ign:1 http://m nosuch InRelease
Err:2 http://m nosuch Release
  404  Not Found [IP: 203.0.113.80 80]
Reading package lists...
E: The repository 'http://m nosuch Release' does not have a Release file.
"""
NO_CONNECTION = """\
Err:1 http://m trixie InRelease
  Could not connect to 127.0.0.1:1 (127.0.0.1). - connect (111: Connection refused)
Reading package lists...
E: Failed to fetch http://m/dists/trixie/InRelease  Could not connect to 127.0.0.1:1 (127.0.0.1).
E: Some index files failed to download. They have been ignored, or old ones used instead.
"""
REFUSED = """\
E: Failed to fetch http://m/dists/trixie/InRelease  400  Bad Request [IP: 203.0.113.80 80]
E: The repository 'http://m trixie InRelease' is not signed.
"""
UNKNOWN_KEY = """\
W: GPG error: http://m trixie InRelease: The following signatures couldn't be verified because the public key is \
not available: NO_PUBKEY 6ED0E7B82643E131
E: The repository 'http://m trixie InRelease' is not signed.
"""
EXPIRED = "E: Release file for http://m/InRelease is expired (invalid since 3d). Updates will not be applied.\n"


@pytest.mark.parametrize(
    ("output", "error", "said"),
    [
        (NO_SUITE, UnknownSuite, "Debian's archive at http://m has no suite 'trixie'"),
        (NO_CONNECTION, ArchiveUnreachable, "Could not connect to 127.0.0.1:1"),
        (REFUSED, ArchiveUnreachable, "400  Bad Request"),
        (UNKNOWN_KEY, SignatureUnverified, "NO_PUBKEY 6ED0E7B82643E131; upgrade debian-archive-keyring"),
        (EXPIRED, ArchiveUnusable, "apt cannot use trixie at http://m: Release file for http://m/InRelease is expired"),
    ],
    ids=["suite", "connection", "refused", "key", "expired"],
)
def test_apts_failures_are_one_sentence(output: str, error: type[HarnessError], said: str) -> None:
    """Each known failure of apt is named as what it is, on one line; an unknown one by apt's own first error."""
    made = diagnosed(output, "trixie", "http://m")
    assert type(made) is error
    assert said in str(made)
    assert "\n" not in str(made)


def test_only_the_network_is_tried_again() -> None:
    """An archive that answers with a refusal will answer so again."""
    refusals = [diagnosed(output, "trixie", "http://m") for output in (NO_CONNECTION, REFUSED)]
    assert [error.refused for error in refusals if isinstance(error, ArchiveUnreachable)] == [False, True]


@needs_apt
async def test_without_a_keyring_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where packages cannot be verified the error names the package to install."""
    monkeypatch.setattr(apt, "KEYRINGS", (tmp_path / "none.gpg",))
    with pytest.raises(KeyringMissing, match=r"none\.gpg is there; install debian-archive-keyring"):
        await fetch_packages("trixie", ["runc"], tmp_path / "tree")


async def test_without_apt_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is no Debian is told so at once."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(apt.AptMissing, match="no apt-get on this host"):
        await fetch_packages("trixie", ["runc"], tmp_path / "tree")


async def test_temporary_files_of_apt_go_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where apt is killed, what verifies for it leaves files in its temporary folder, and that is part of ours."""
    (tmp_path / "keys.gpg").touch()
    (tmp_path / "bin").mkdir()
    for name in ("apt-get", "apt-cache", "dpkg-deb"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "$TMPDIR" > {tmp_path}/told; : > "$TMPDIR/apt.sig"; exit 1\n')
        program.chmod(0o755)
    monkeypatch.setattr(apt, "KEYRINGS", (tmp_path / "keys.gpg",))
    monkeypatch.setenv("REPRO_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "bin"))
    with pytest.raises(apt.ArchiveUnusable):
        await fetch_packages("trixie", ["runc"], tmp_path / "tree")
    told = Path((tmp_path / "told").read_text().strip())
    assert told.is_relative_to(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"bin", "keys.gpg", "told", "tree"}
    assert not [*tmp_path.rglob("apt.sig")]


@system
@needs_apt
async def test_packages_are_unpacked_and_the_system_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages and versions come as the suite has them; apt's and dpkg's own files stay, and no hook of theirs runs."""
    hook = 'APT::Update::Post-Invoke { "touch %s/ran"; }; APT::Default-Release "nosuch";'
    (tmp_path / "apt.conf").write_text(hook % tmp_path)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))

    def state() -> dict[Path, int]:
        folders = (Path(f"/var/{name}") for name in ("lib/apt", "lib/dpkg", "cache/apt"))
        return {path: path.lstat().st_mtime_ns for folder in folders for path in folder.rglob("*")}

    before = state()
    versions = await fetch_packages("trixie", ["busybox-static"], tmp_path / "tree", optional=["nosuchpackage"])
    assert state() == before
    assert not (tmp_path / "ran").exists()
    assert list(versions) == ["busybox-static"]
    assert versions["busybox-static"].startswith("1:1.")
    assert (tmp_path / "tree/usr/bin/busybox").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"apt.conf", "tree"}


@system
@needs_apt
async def test_a_package_that_a_suite_lacks(tmp_path: Path) -> None:
    """A missing package is named, and nothing is unpacked."""
    with pytest.raises(PackageMissing, match="Debian trixie has no package nosuchpackage"):
        await fetch_packages("trixie", ["busybox-static", "nosuchpackage"], tmp_path / "tree")
    assert list((tmp_path / "tree").iterdir()) == []


@system
@needs_apt
async def test_an_unknown_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages that this host's keyring cannot verify are not taken."""
    (tmp_path / "empty.gpg").touch()
    monkeypatch.setattr(apt, "KEYRINGS", (tmp_path / "empty.gpg",))
    with pytest.raises(
        SignatureUnverified, match=r"apt cannot verify trixie .*NO_PUBKEY .*; upgrade debian-archive-keyring"
    ):
        await fetch_packages("trixie", ["busybox-static"], tmp_path / "tree")
