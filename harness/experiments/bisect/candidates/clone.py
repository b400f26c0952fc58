"""The user's own clone: its commits, read and never touched.

git is asked with ``GIT_OPTIONAL_LOCKS=0``, so that it does not even refresh the index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.core.errors import CommandError, CommandMissing, UsageError, nearest
from harness.host.proc import Completed, run

GIT_SECONDS: Final = 300.0
_UNSET: Final = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    *("GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX"),
)
"""What git sets for what it starts itself, such as hooks, and what would lead us to another clone."""
OUTSIDE_GIT: Final = ("env", *(part for name in _UNSET for part in ("-u", name)))
"""What stands before a program that is to know nothing of a git that may have started us."""
ENVIRONMENT: Final = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_FIELD: Final = "\x1f"
_END: Final = "\x1e"


class NoClone(UsageError):
    """A folder that git does not take for a clone."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"{folder} is no git clone that can be read: {why}")


class NoSuchCommit(UsageError):
    """A name of no commit in a clone."""

    def __init__(self, folder: Path, name: str, known: Sequence[str], *, shallow: bool) -> None:
        hint = "; the clone is shallow: `git fetch --unshallow --tags` brings the rest" if shallow else ""
        super().__init__(f"{folder} has no commit {name!r}{nearest(name, known)}{hint}")


@dataclass(frozen=True)
class Commit:
    """One commit of the clone."""

    sha: str
    parents: tuple[str, ...]
    subject: str
    merged: str
    """The title of what a merge brought, as GitHub writes it; empty where the message has none."""


async def git(argv: Sequence[str | Path], *, check: bool = True) -> Completed:
    """Run git to its end, with the environment that a clone is read in.

    Raises:
        CommandError: it failed, and `check`.
    """
    return await run([*OUTSIDE_GIT, "git", *argv], deadline=GIT_SECONDS, env=ENVIRONMENT, check=check)


@dataclass(frozen=True)
class Clone:
    """A git clone, by any folder in it."""

    folder: Path
    common: Path
    """Where its objects and refs are."""
    shallow: bool
    bare: bool

    @classmethod
    async def open(cls, folder: Path) -> "Clone":
        """Return the clone that a folder belongs to.

        Raises:
            NoClone: git says that it is none, or is not ours to read.
        """
        if not folder.is_dir():
            raise NoClone(folder, "there is no such folder")
        asked = ("--path-format=absolute", "--git-common-dir", "--is-shallow-repository", "--is-bare-repository")
        try:
            answer = await git(["-C", folder, "rev-parse", *asked])
        except CommandError as error:
            raise NoClone(folder, error.output.strip().removeprefix("fatal: ").partition("\n")[0]) from error
        except CommandMissing as error:
            raise NoClone(folder, "there is no git on PATH to read it with") from error
        common, shallow, bare = answer.stdout.splitlines()
        return cls(folder, Path(common), shallow == "true", bare == "true")

    async def _ask(self, *argv: str) -> str:
        return (await git(["-C", self.folder, *argv])).stdout

    async def commit(self, name: str) -> str:
        """Return the id of the commit that a name stands for.

        Raises:
            NoSuchCommit: there is none.
        """
        asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        answer = await git(["-C", self.folder, *asked], check=False)
        if answer.returncode != 0:
            known = (await self._ask("for-each-ref", "--format=%(refname:short)")).splitlines()
            raise NoSuchCommit(self.folder, name, known, shallow=self.shallow)
        return answer.stdout.splitlines()[-1]

    async def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor of two commits; None where they have none here."""
        answer = await git(["-C", self.folder, "merge-base", one, other], check=False)
        return answer.stdout.strip() or None

    async def uncommitted(self) -> bool:
        """Whether a tracked file was changed and not committed; in a clone that was never checked out none was."""
        index = (await self._ask("rev-parse", "--path-format=absolute", "--git-path", "index")).strip()
        if self.bare or not Path(index).exists():
            return False
        answer = await git(["-C", self.folder, "status", "--porcelain", "--untracked-files=no"], check=False)
        return bool(answer.stdout.strip())

    async def lender(self) -> str | None:
        """Return the address that a partial clone has its missing objects from; None where it is whole."""
        answer = await git(
            ["-C", self.folder, "config", "--get-regexp", r"^remote\..*\.promisor$", "true"], check=False
        )
        name = answer.stdout.partition(".promisor ")[0].removeprefix("remote.")
        return (await self._ask("remote", "get-url", name)).strip() if name else None

    async def commits(self, after: str, to: str, *, first_parent: bool) -> list[Commit]:
        """Return the commits that `to` has and `after` has not, each after its parents."""
        form = f"--format=%H{_FIELD}%P{_FIELD}%s{_FIELD}%b{_END}"
        only = ("--first-parent",) if first_parent else ()
        asked = ("--topo-order", "--reverse", *only, form, "--encoding=UTF-8", "--no-color", "--no-patch", "--no-notes")
        answer = await self._ask("-c", "log.showSignature=false", "log", *asked, f"{after}..{to}", "--")
        return [_commit(record) for record in answer.split(_END) if record.strip()]

    async def one(self, sha: str) -> Commit:
        """Return a single commit."""
        form = f"--format=%H{_FIELD}%P{_FIELD}%s{_FIELD}%b{_END}"
        asked = ("--no-walk", form, "--encoding=UTF-8", "--no-color", "--no-patch", "--no-notes")
        return _commit((await self._ask("-c", "log.showSignature=false", "log", *asked, sha, "--")).partition(_END)[0])


def _commit(record: str) -> Commit:
    sha, parents, subject, body = record.strip("\n").split(_FIELD, 3)
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    merged = lines[0] if len(parents.split()) > 1 and subject.startswith("Merge ") and lines else ""
    return Commit(sha, tuple(parents.split()), subject.strip(), merged)
