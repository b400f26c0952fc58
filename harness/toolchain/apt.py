"""Debian's archive: packages fetched and verified by apt into a folder, with nothing of the system touched.

apt gets lists, cache, status and sources of its own; what it downloads is verified against the host's Debian keyring.
The host's apt configuration still counts (proxies, credentials), but for its hooks and its choice of releases.
"""

import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from harness.core.errors import CommandError, HarnessError, InfraError, UsageError
from harness.host.guard import guarded_groups
from harness.host.proc import Command, Completed, run, running
from harness.host.scratch import scratch

NEWEST_STABLE: Final = "trixie"
SUITE_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
KEYRINGS: Final = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{kind}") for kind in ("gpg", "pgp"))

_UPDATE_SECONDS: Final = 180.0
_DOWNLOAD_SECONDS: Final = 900.0
_LOCAL_SECONDS: Final = 180.0
_FAILED_FETCH: Final = re.compile(r"^E: Failed to fetch \S+\s+(.+)$", re.MULTILINE)
_UNVERIFIED: Final = re.compile(r"^W: .*Release: (.+)$", re.MULTILINE)
_CONFIGURATION: Final = """\
#clear APT::Default-Release;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Retries "0";
Dir::State "{root}/state";
Dir::State::lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
"""


class AptMissing(InfraError):
    """A host without apt."""

    def __init__(self, program: str) -> None:
        super().__init__(f"no {program} on this host, so Debian's packages cannot be fetched; use another toolchain")


class MirrorUnknown(InfraError):
    """A host whose own apt has no Debian mirror."""

    def __init__(self) -> None:
        super().__init__(
            "this host's apt sources name no mirror of Debian's archive: set REPRO_DEBIAN_MIRROR to the address of one "
            "(https://www.debian.org/mirror/list), or use another toolchain"
        )


class KeyringMissing(InfraError):
    """A host that cannot verify Debian's packages."""

    def __init__(self, looked: Iterable[Path]) -> None:
        super().__init__(f"none of {', '.join(map(str, looked))} is there; install debian-archive-keyring")


class SignatureUnverified(InfraError):
    """A suite whose signature apt cannot verify, most often because the host's keyring is older than the suite."""

    def __init__(self, suite: str, mirror: str, reason: str) -> None:
        super().__init__(f"apt cannot verify {suite} at {mirror}: {reason}; upgrade debian-archive-keyring")


class UnknownSuite(UsageError):
    """A suite that the archive does not have."""

    def __init__(self, suite: str, mirror: str) -> None:
        super().__init__(f"Debian's archive at {mirror} has no suite {suite!r}; name one as in debian:{NEWEST_STABLE}")


class PackageMissing(UsageError):
    """Packages that a suite does not have for this machine."""

    def __init__(self, suite: str, packages: Iterable[str]) -> None:
        super().__init__(f"Debian {suite} has no package {', '.join(sorted(packages))} for this machine")


class ArchiveUnreachable(InfraError):
    """A mirror that did not answer, or answered with an error."""

    def __init__(self, mirror: str, reason: str) -> None:
        self.refused = bool(re.match(r"4\d\d ", reason))
        super().__init__(
            f"cannot fetch from Debian's archive at {mirror}: {reason}; check the network, or set REPRO_DEBIAN_MIRROR"
        )


class ArchiveUnusable(InfraError):
    """Any other reason of apt's, by its first error line."""

    def __init__(self, suite: str, mirror: str, reason: str) -> None:
        super().__init__(f"apt cannot use {suite} at {mirror}: {reason}")


def host_suite() -> str | None:
    """Return the codename of the Debian that runs here, such as ``bookworm``; None on any other system."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        return None
    return system.get("VERSION_CODENAME") if system.get("ID") == "debian" else None


def suites_to_try() -> tuple[str, ...]:
    """Return where a program that must start on this host is looked for: its own suite, then the newest stable one."""
    return tuple(dict.fromkeys((host_suite() or NEWEST_STABLE, NEWEST_STABLE)))


def debian_mirror(etc: Path = Path("/etc/apt")) -> str:
    """Return the archive to fetch from: ``$REPRO_DEBIAN_MIRROR``, else the host's own.

    The host's own is the first http source that ends in ``/debian``, has ``main`` and is signed by Debian's key;
    other vendors' archives have such addresses too, but say which key is theirs.

    Raises:
        MirrorUnknown: there is none.
    """
    if configured := os.environ.get("REPRO_DEBIAN_MIRROR"):
        return configured.rstrip("/")
    for options in _sources(etc):
        signed_by = options.get("signed-by", "debian-archive")
        if "main" in options.get("components", "").split() and "debian-archive" in signed_by:
            for address in options.get("uris", "").split():
                if re.fullmatch(r"https?://.+/debian/?", address):
                    return address.rstrip("/")
    raise MirrorUnknown


def _sources(etc: Path) -> Iterator[Mapping[str, str]]:
    """Yield the sources of sources.list(5) in both formats, under the keys of deb822 in lower case."""
    one_line = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uris>\S+)\s+(?P<suites>\S+)\s+(?P<components>.+)")
    for file in (etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))):
        for line in file.read_text(errors="replace").splitlines() if file.is_file() else ():
            if match := one_line.match(line.partition("#")[0].strip()):
                given = (match["options"] or "").split()
                yield match.groupdict("") | {k.lower(): v for k, _, v in (option.partition("=") for option in given)}
    for file in sorted(etc.glob("sources.list.d/*.sources")):
        text = re.sub(r"^#.*\n?", "", file.read_text(errors="replace"), flags=re.MULTILINE)
        for stanza in re.split(r"\n\s*\n", text):
            fields = re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE)
            options = {key.lower(): value.strip() for key, value in fields}
            if options.get("enabled", "yes") != "no" and "deb" in options.get("types", "").split():
                yield options


async def fetch_packages(
    suite: str, packages: Sequence[str], into: Path, *, optional: Sequence[str] = ()
) -> dict[str, str]:
    """Fetch packages of a suite, for this machine's architecture, and unpack them; nothing is installed.

    Args:
        suite: codename or alias, such as ``trixie`` or ``stable``.
        packages: what must be there.
        into: the folder to unpack into, made if it is not there; apt works in a temporary folder beside it.
        optional: what is fetched only where the suite has it.

    Returns:
        The version of each package that was unpacked, by its name.

    Raises:
        UnknownSuite, PackageMissing: the archive does not have it.
        AptMissing, KeyringMissing, SignatureUnverified, ArchiveUnreachable, ArchiveUnusable: it is not available here.
    """
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(program):
            raise AptMissing(program)
    mirror = debian_mirror()
    if not SUITE_NAME.fullmatch(suite):
        raise UnknownSuite(suite, mirror)
    into.mkdir(parents=True, exist_ok=True)
    with scratch(into.parent) as root:
        archive = _Archive(suite, mirror, root.absolute())
        await archive.update()
        there = await archive.having((*packages, *optional))
        if lacking := set(packages) - there:
            raise PackageMissing(suite, lacking)
        await archive.download(sorted(there))
        return dict([await _unpack(deb, into) for deb in sorted(archive.downloads.glob("*.deb"))])


class _Archive:
    """One suite as a private apt sees it."""

    def __init__(self, suite: str, mirror: str, root: Path) -> None:
        self._suite, self._mirror = suite, mirror
        self._configuration = root / "apt.conf"
        self.downloads = root / "downloads"
        keyring = next((path for path in KEYRINGS if path.is_file()), None)
        if keyring is None:
            raise KeyringMissing(KEYRINGS)
        self._temporary = root / "tmp"
        for folder in ("tmp", "state", "lists/partial", "cache/archives/partial", "downloads"):
            (root / folder).mkdir(parents=True)
        (root / "status").touch()
        # target: the host may have apt fetch file lists, icons and translations too
        source = f"deb [signed-by={keyring} target=Packages lang=none] {mirror} {suite} main\n"
        (root / "sources.list").write_text(source)
        self._configuration.write_text(_CONFIGURATION.format(root=root))

    async def update(self) -> None:
        """Fetch and verify the suite's index."""
        await self._apt("apt-get", "update", deadline=_UPDATE_SECONDS)

    async def having(self, packages: Iterable[str]) -> set[str]:
        """Return those packages that the suite has."""
        configured = await self._apt("apt-cache", "madison", *packages, deadline=_LOCAL_SECONDS)
        return {line.split("|")[0].strip() for line in configured.stdout.splitlines() if "|" in line}

    async def download(self, packages: Iterable[str]) -> None:
        """Fetch and verify packages."""
        await self._apt("apt-get", "download", *packages, deadline=_DOWNLOAD_SECONDS)

    @retry(
        retry=retry_if_exception(lambda error: isinstance(error, ArchiveUnreachable) and not error.refused),
        stop=stop_after_attempt(3),
        wait=wait_exponential(multiplier=0.5),
        sleep=anyio.sleep,
        reraise=True,
    )
    async def _apt(self, program: str, *arguments: str, deadline: float) -> Completed:
        argv = (program, "-q", "-c", str(self._configuration), *arguments)
        own = {"LC_ALL": "C", "TMPDIR": str(self._temporary)}  # where gpgv is killed it leaves files
        try:
            async with running(Command(argv, own, self.downloads)) as apt:
                with guarded_groups(apt.child.pid):  # its methods live on for a while where it is killed alone
                    return await apt.completed(deadline)
        except CommandError as error:
            raise diagnosed(error.output, self._suite, self._mirror) from error


async def fetch_file(package: str, into: Path, wanted: Callable[[Path], bool]) -> None:
    """Fetch one file out of a package of the host's suite; it is there as a whole or not at all.

    Args:
        package: its name.
        into: where the file goes; it has this name in the package too.
        wanted: tells it from others of that name.

    Raises:
        PackageMissing: the package holds none.
        InfraError: see `fetch_packages`.
    """
    suite = suites_to_try()[0]
    with scratch(into.parent) as folder:
        tree = folder / "tree"
        await fetch_packages(suite, [package], tree)
        found = [path for path in tree.rglob(into.name) if path.is_file() and wanted(path)]
        if not found:
            raise PackageMissing(suite, [f"{package} with {into.name} in it"])
        found[0].replace(into)


def diagnosed(output: str, suite: str, mirror: str) -> HarnessError:
    """Return the error that says in one sentence what apt meant by `output`."""
    if "does not have a Release file" in output:
        return UnknownSuite(suite, mirror)
    if failed := _FAILED_FETCH.search(output):
        return ArchiveUnreachable(mirror, failed[1].strip())
    if "is not signed" in output:
        unverified = _UNVERIFIED.search(output)
        return SignatureUnverified(suite, mirror, unverified[1] if unverified else "it is not signed")
    first = next((line[3:] for line in output.splitlines() if line.startswith("E: ")), output.strip()[-200:])
    return ArchiveUnusable(suite, mirror, first)


async def _unpack(deb: Path, into: Path) -> tuple[str, str]:
    """Unpack one package; return its name and version."""
    shown = await run(
        ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", deb], deadline=_LOCAL_SECONDS, env={"LC_ALL": "C"}
    )
    await run(["dpkg-deb", "--extract", deb, into], deadline=_LOCAL_SECONDS)
    name, _, version = shown.stdout.strip().partition(" ")
    return name, version
