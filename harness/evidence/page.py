"""One page of a daemon's debug address."""

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import CaptureError
from harness.core.files import write_whole
from harness.daemons.base import ServesPages
from harness.evidence.base import Subject


@dataclass(frozen=True)
class Page:
    """The page at `path`, as it came, in `file`."""

    name: str
    file: str
    path: str
    elsewhere: str
    """Who serves it, for those that do not."""
    query: tuple[tuple[str, int], ...] = ()
    deadline: float = 8.0

    async def capture(self, daemon: Subject, folder: Path) -> None:
        """Ask for it."""
        if not isinstance(daemon, ServesPages):
            raise CaptureError(f"a {daemon.facts.kind} that we did not start has no debug address that we know of")
        page = await daemon.page(self.path, self.deadline, **dict(self.query))
        if page is None:
            raise CaptureError(f"this daemon serves no {self.path}: {self.elsewhere}")
        write_whole(folder / self.file, page)
