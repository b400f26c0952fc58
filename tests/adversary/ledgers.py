"""Ledgers that somebody forged in a cache: `repro clean` is asked, and victims of our own must all be there still."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from harness.host.owner import host, pid_namespace
from harness.host.proc import Identity, boot_id
from tests.adversary.world import Options, Repro, Try, traceback_in

_CGROUPS: Final = Path("/sys/fs/cgroup")
_NAME: Final = f"repro-victim-{os.getpid()}"
_EARLIER: Final = {"pid": 1, "start_ticks": 1, "boot": "an earlier boot"}
_UNREADABLE: Final[Mapping[str, Any]] = {
    "deep": "[" * 200_000,
    "no JSON": "{",
    "a pid that is a path": {"processes": [{"pid": "self/../1", "start_ticks": 1, "boot": boot_id()}]},
    "a pid that is none": {"processes": [{"pid": "\0", "start_ticks": 1, "boot": boot_id()}]},
    "a pid below zero": {"processes": [{"pid": -1, "start_ticks": 0, "boot": boot_id()}]},
    "a pid of 5,000 digits": '{"harness": {"pid": ' + "9" * 5000 + "}}",
    "a folder with a NUL": {"folders": ["/run/repro-\0"]},
    "a folder with a surrogate": {"folders": ["/run/repro-\ud800"]},
    "a folder of 100,000 letters": {"folders": ["/run/repro-" + "x" * 100_000]},
    "a cgroup that is none": {"cgroups": [None, 5]},
    "a cgroup of 5,000 letters": {"cgroups": ["repro-" + "x" * 5000]},
    "an infinite device": {"made": {"/run/repro-x": [1e999, 1]}},
    "a host that clears the screen": {"host": "\x1b[2J"},
    "a mark that is a path": {"mark": "x/../.."},
}


class Victims:
    """A process, a folder among temporary files and in the cache, a mount and a cgroup of the user's own."""

    def __init__(self, cache: Path, open_: ExitStack) -> None:
        self.folder = Path(tempfile.gettempdir()) / _NAME
        self.home = cache.parent / "home"
        self.mount = cache.parent / "mount"
        for each in (self.folder, self.home, self.mount):
            each.mkdir(parents=True)
        self._mounted = _called("mount", "-t", "tmpfs", "none", str(self.mount)) == 0
        open_.callback(shutil.rmtree, self.folder, ignore_errors=True)
        open_.callback(_called, "umount", "--lazy", str(self.mount))
        for each in (self.folder, self.home, self.mount):
            (each / "file").write_text("kept")
        self.process = subprocess.Popen(["sleep", "1000"])  # noqa: S607
        open_.callback(self.process.kill)
        self.cgroups = [
            top / name
            for top in (_CGROUPS, *_CGROUPS.glob("*/"))
            for name in (_NAME, f"{_NAME}.slice/{_NAME}")
            if (top / "cgroup.procs").exists() and not top.is_symlink()
        ]
        for each in self.cgroups:
            with suppress(OSError):
                each.mkdir(parents=True)
                (each / "cgroup.procs").write_text(str(self.process.pid))
        self.cgroups = [each for each in self.cgroups if each.is_dir()]
        open_.callback(self._remove_cgroups)

    @property
    def identity(self) -> dict[str, Any]:
        """The process, as a ledger has it."""
        return asdict(Identity.of(self.process.pid))

    def made(self, folder: Path) -> dict[str, Any]:
        """Return what a ledger says of a folder that a run made."""
        facts = folder.stat()
        return {"folders": [str(folder)], "made": {str(folder): [facts.st_dev, facts.st_ino]}}

    def missing(self) -> Iterator[str]:
        """Yield what is not as it was."""
        for each in (self.folder, self.home, self.mount):
            if not (each / "file").exists():
                yield f"{each} is not as it was"
        if self._mounted and not self.mount.is_mount():
            yield "the mount is gone"
        if self.process.poll() is not None:
            yield "the process is gone"
        yield from (f"{each} is gone" for each in self.cgroups if not each.is_dir())

    def _remove_cgroups(self) -> None:
        self.process.kill()
        self.process.wait()
        for each in self.cgroups:
            for folder in (each, each.parent):
                with suppress(OSError):
                    folder.rmdir()


def _called(*words: str) -> int:
    return subprocess.run(words, check=False, capture_output=True).returncode


def forged_ledgers(options: Options) -> Iterator[Try]:
    """Forge a ledger in each way, ask `clean`, and look for the victims."""
    with ExitStack() as open_:
        repro = Repro(options.place / "repro")
        for part in ("daemons", "ledgers", "staging"):
            (repro.cache / part).mkdir(parents=True)
        victims = Victims(repro.cache, open_)
        for name, written in {**_forgeries(repro.cache, victims), **_UNREADABLE}.items():
            if options.over:
                return
            file = repro.cache / "ledgers" / "forged.json"
            file.write_text(written if isinstance(written, str) else json.dumps(_ledger() | written))
            file.chmod(0o600)
            file.with_suffix(".lock").touch()
            code, said = repro("clean", env={"TMPDIR": tempfile.gettempdir()})
            problems = [*victims.missing(), *([end] if (end := traceback_in(said)) else [])]
            problems += [] if code in {0, 255} else [f"exits with {code}"]
            yield Try(name, "; ".join(problems))
            for each in (repro.cache / "ledgers").iterdir():
                each.unlink()


def _ledger() -> dict[str, Any]:
    gone = {"pid": 2**22 + 1, "start_ticks": 1, "boot": boot_id()}
    nothing: dict[str, Any] = {"processes": [], "folders": [], "cgroups": []}
    return {"harness": gone, "host": host(), "namespace": pid_namespace(), "mark": "x", "made": {}} | nothing


def _forgeries(cache: Path, victims: Victims) -> dict[str, Any]:
    """Return ledgers that name victims, by how they do."""
    link = cache / "daemons" / "link"
    link.symlink_to(victims.home)
    above = cache / "staging" / "x"
    above.symlink_to(cache.parent)
    cgroup, process = {"cgroups": [_NAME]}, {"processes": [victims.identity]}
    of_folder = {"folders": [str(victims.folder)], "mark": None, "host": None}
    climbs = f"{cache}/daemons/../../home"
    return {
        "a folder among temporary files": victims.made(victims.folder),
        "one, as earlier versions wrote": of_folder,
        "one, of an earlier boot": victims.made(victims.folder) | {"harness": _EARLIER},
        "a folder of the user's": victims.made(victims.home),
        "the user's home": {"folders": [str(Path.home()), "/", "/run", str(cache.parent)]},
        "a path that climbs": {"folders": [climbs], "made": {climbs: [1, 1]}},
        "a link in the cache": victims.made(victims.home) | {"folders": [str(link)]},
        "a folder behind a link": {"folders": [f"{above}/home"], "mark": None},
        "a mount": victims.made(victims.mount),
        "a process": process,
        "a process, as earlier versions wrote": process | {"mark": None, "host": None},
        "a process in a cgroup that is named": process | cgroup,
        "a process in a cgroup, without a mark": process | cgroup | {"mark": None},
        "the first process, and this one's parents": {
            "processes": [asdict(Identity.of(pid)) for pid in (1, os.getpid(), os.getppid())]
        },
        "a cgroup named as ours": cgroup,
        "one, of another namespace": cgroup | process | {"namespace": 1},
        "cgroups by paths and patterns": {
            "cgroups": ["", ".", "..", "*", f"{_NAME}.slice/{_NAME}", "system.slice", "repro-*"]
        },
        "all at once": victims.made(victims.folder) | process | cgroup,
        "a draft's fields of other kinds": {"harness": [], "folders": {}, "processes": 5},
    }
