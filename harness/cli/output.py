"""Standard output and error that can be lost, and take nothing with them: no run, no verdict, no exit code.

A closed pipe, a full disk or a terminal that went away ends the output. A reader that does not read holds up a command
whose work is elsewhere (a run) for two seconds after that work's end, and holds up its work not at all. Where the
output is all the work there is (`repro show | less`), the command waits for its reader.
"""

import io
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, NoReturn

from harness.core.units import format_duration

_GRACE_SECONDS: Final = 2.0
_DARK_SECONDS: Final = 0.3
_SHOW_CURSOR: Final = "\x1b[?25h"
_MOST_BYTES: Final = 2**24
"""What waits for a reader that does not read; a run's output of a night is smaller."""
HIDES: Final = (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""What a terminal takes for a command, or by which it shows letters in another order than they stand."""
_COMMANDS: Final = re.compile(rf"\x1b(?!\[)|[{''.join(map(chr, HIDES))}]")
"""Those and what else than colours and the cursor's place a terminal is told by: its title, its clipboard."""


class LossyOutput(io.TextIOBase):
    """A text stream over a file descriptor that never raises, and never blocks where it has a thread.

    Args:
        fd: where to write.
        encoding: of the stream that it stands for.
        beside: whether a thread of its own writes.
    """

    def __init__(self, fd: int, encoding: str | None, *, beside: bool) -> None:
        self._fd = fd
        self._encoding = encoding or "utf-8"
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._lost = False
        self.has_output = False
        """Whether anything was written."""
        self._thread: threading.Thread | None = None
        if beside:
            self._thread = threading.Thread(target=self._write_beside, name=f"output {fd}", daemon=True)
            self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of what is written; what it has no form for is written as an escape."""
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        """How what the encoding has no form for is written."""
        return "backslashreplace"

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether a person looks on."""
        try:
            return os.isatty(self._fd)
        except OSError:
            return False

    def writable(self) -> bool:
        """Return True: what cannot be written is lost, and that is no error."""
        return True

    def write(self, text: str) -> int:
        """Write, now or soon; what cannot be written is lost. Nothing in it commands the terminal."""
        data = _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text).encode(self._encoding, "backslashreplace")
        self.has_output = self.has_output or bool(data)
        if self._thread is None:
            self._put(data)
        else:
            with self._changed:
                self._lost = self._lost or self._bytes > _MOST_BYTES
                if not self._lost:
                    self._waiting.append(data)
                    self._bytes += len(data)
                    self._changed.notify_all()
        return len(text)

    def finish(self) -> None:
        """Wait for a reader that is behind, two seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._lost or not self._bytes, _GRACE_SECONDS)

    def _write_beside(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                data = self._waiting.popleft()
            self._put(data)
            with self._changed:
                self._bytes -= len(data)
                self._changed.notify_all()

    def _put(self, data: bytes) -> None:
        try:
            while data and not self._lost:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self._lost = True


_STREAMS: Final[list[LossyOutput]] = []
"""Standard output and error, once they are installed."""


def install(*, beside: bool) -> None:
    """Put streams that can be lost in the place of standard output and error.

    Args:
        beside: whether the command's work is elsewhere, so that a reader who does not read must not hold it up.
    """
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a descriptor that was closed when we began: else the next file opened, a database perhaps, would be it
    os.close(spare)
    for fd, like in ((1, sys.stdout), (2, sys.stderr)):
        _STREAMS.append(LossyOutput(fd, getattr(like, "encoding", None), beside=beside))
    sys.stdout, sys.stderr = _STREAMS


def print_unless_output(line: str) -> None:
    """Say a line on standard error soon, unless this process has said anything by then: nobody waits in the dark."""

    def say() -> None:
        if not any(stream.has_output for stream in _STREAMS):
            _STREAMS[1].write(f"{line}\n")

    timer = threading.Timer(_DARK_SECONDS, say)
    timer.daemon = True
    timer.start()


def keep_telling(say: Callable[[str], None], what: str, every: float, over: threading.Event) -> None:
    """Say from now and then, in a thread, that something still goes on, and for how long, until that is over.

    Args:
        say: is given the line.
        what: goes on.
        every: seconds from one line to the next.
        over: is set by who says something else.
    """
    began = monotonic()

    def tell() -> None:
        while not over.wait(every):
            say(f"still {what}, for {format_duration(round(monotonic() - began))}")

    threading.Thread(target=tell, daemon=True).start()


def on_the_way(what: str) -> None:
    """Say on standard error what takes a while now; results go to the other stream."""
    print(what, file=sys.stderr)  # noqa: T201 — the user's screen


def in_order() -> None:
    """Have what was said so far be read before what is said next on the other stream, as far as anybody reads."""
    for stream in _STREAMS:
        stream.finish()


def at_once(code: int, last_words: str) -> NoReturn:
    """Say so on standard error, and exit with `code` now. Nothing is cleaned up; what we started dies with us."""
    for stream in _STREAMS[1:]:  # a live view may stand in its place
        stream.write(f"{_SHOW_CURSOR if stream.isatty() else ''}\n{last_words}\n")
    in_order()
    os._exit(code)


def leave(code: int) -> NoReturn:
    """Exit with `code`, within a few seconds, whatever still waits: a reader, a thread in a system call."""
    in_order()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(_GRACE_SECONDS)
            if thread.is_alive():
                os._exit(code)  # the interpreter would wait for it without bound
    sys.exit(code)
