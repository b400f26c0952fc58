"""Starts a program as root of a user namespace of its own, who is nobody on the host; Python runs it by itself.

It does what RootlessKit and `newuidmap` do for a user; root may map ids without them. What the program is given is
mounted where it can come to, for it may not enter every folder above. It stays the process that was started.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FIRST_ID: Final = 1_000_000
"""The user and the group on the host that its root is."""
_IDS: Final = 65_536
_NEWNS, _NEWUSER = 0x20000, 0x10000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_SET_PDEATHSIG, _GET_PDEATHSIG = 1, 2


def main(words: Sequence[str]) -> None:
    """Become the program.

    Args:
        words: what is mounted, each as ``SOURCE:TARGET``, then ``--`` and the program's own words.

    Raises:
        OSError: the kernel refused a step, which the message names.
    """
    mounts, command = words[: words.index("--")], words[words.index("--") + 1 :]
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, f"{name} {arguments}: {os.strerror(number)}")

    ends_with = ctypes.c_int()
    call("prctl", _GET_PDEATHSIG, ctypes.byref(ends_with), 0, 0, 0)
    call("unshare", _NEWNS)
    call("mount", None, b"/", None, _REC | _PRIVATE, None)
    for pair in mounts:
        source, _, target = pair.partition(":")
        call("mount", source.encode(), target.encode(), None, _BIND | _REC, None)
    asks, mapped = os.pipe(), os.pipe()
    if os.fork() == 0:  # who stays behind may still map ids
        if os.read(asks[0], 1):
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{os.getppid()}/{name}").write_text(f"0 {FIRST_ID} {_IDS}\n")
            os.write(mapped[1], b"!")
        os._exit(0)
    call("unshare", _NEWUSER | _NEWNS)
    os.write(asks[1], b"!")
    os.read(mapped[0], 1)
    os.wait()
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    call("prctl", _SET_PDEATHSIG, ends_with.value, 0, 0, 0)  # which goes when the user changes
    os.execvp(command[0], [*command])  # noqa: S606 — what the harness has put together


if __name__ == "__main__":
    main(sys.argv[1:])
