"""Throw-away git repositories whose "daemon" is a script that tells its version."""

import os
import subprocess
from pathlib import Path

BUILD = 'for name in buildkitd buildctl runc; do install -m 755 daemon.sh "$REPRO_OUT/$name"; done'


class Repository:
    """A real git repository, with commits that are a minute apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = 1_700_000_000
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *argv: str) -> str:
        """Run git in it, as nobody's user and with nobody's settings."""
        person = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        self.clock += 60
        times = {f"GIT_{who}_DATE": f"{self.clock} +0000" for who in ("AUTHOR", "COMMITTER")}
        nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        done = subprocess.run(
            ["git", "-C", self.folder, *argv],  # noqa: S607
            env={**os.environ, **person, **times, **nobody},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str, *, build: str = BUILD, tag: str = "") -> str:
        """Commit a daemon that tells `message` as its version; return its id."""
        (self.folder / "daemon.sh").write_text(f"#!/bin/sh\necho '{message.splitlines()[0]}'\n")
        (self.folder / "build.sh").write_text(build + "\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        if tag:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")

    def merge(self, branch: str, message: str) -> str:
        """Merge a branch into the one that is checked out, the branch's files winning; return the merge's id."""
        self.git("merge", "--quiet", "--no-ff", "-X", "theirs", "--message", message, branch)
        return self.git("rev-parse", "HEAD")

    def state(self) -> dict[str, bytes]:
        """Return every file below it, the clone's own among them, and what each holds."""
        return {
            f"{path.relative_to(self.folder)} {path.stat().st_mtime_ns}": path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }
