"""`repro`: the table of commands, and what every way to end exits with."""

import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from typing import Final

import typer
from typer.exceptions import TyperException

from harness.cli.output import install, leave
from harness.core.errors import HarnessError, Interrupted, SubjectError, UsageError
from harness.core.outcome import ExitCode
from harness.host.interrupt import first_of

COMMANDS: Final[Mapping[str, str]] = {
    "doctor": "doctor",
    "run": "run",
    "resume": "resume",
    "list": "list_scenarios",
    "show": "show",
    "report": "report",
    "diagnose": "diagnose_",
    "merge": "merge_",
    "bisect": "bisect",
    "compare": "compare_",
    "verify": "verify_",
    "serve": "serve",
    "bundle": "bundle_",
    "capture": "capture",
    "watch": "watch",
    "clean": "clean",
    "schema": "schema",
    "toolchain": "toolchain",
}
"""What each command is in the module of its name: a function, or commands of its own."""

_WORKING: Final = {"run", "resume", "bisect", "compare", "verify", "capture", "watch", "serve", "doctor", "clean"}
"""Commands that do more than to print."""


def _app(words: list[str]) -> typer.Typer:
    """Return the command line with the one command that is called, for loading all takes seconds; else with all."""
    app = typer.Typer(
        name="repro",
        help="Stress reproduction harness for builds that export and never return.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_no_option_of_its_own)
    for name in words[:1] if words[:1] and words[0] in COMMANDS else COMMANDS:
        command = getattr(import_module(f"harness.cli.commands.{name}"), COMMANDS[name])
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _no_option_of_its_own() -> None:
    """Make `repro COMMAND` of an application that has a single command, too."""


def main() -> None:
    """Run one command and exit.

    Nothing leaves here as an exit code that ``git bisect run`` would misread: a usage error's customary 2 and a
    traceback's 1 both mean "bad" to it.
    """
    install(beside=sys.argv[1:2] != [] and sys.argv[1] in _WORKING)
    leave(_exit_code())


def _exit_code() -> int:
    try:
        code = _app(sys.argv[1:])(standalone_mode=False)
    except TyperException as error:
        return _told(UsageError(f"{error.format_message()} (`repro --help` lists what there is)"))
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BaseExceptionGroup as group:
        return _told(first_of(group))
    except Exception as error:
        return _told(error)
    return code if isinstance(code, int) else ExitCode.CLEAN


def _told(error: BaseException) -> ExitCode:
    """Print an error for the user, and return its exit code."""
    match error:
        case Interrupted() | KeyboardInterrupt():
            code = ExitCode.INTERRUPTED
        case UsageError():
            code = ExitCode.USAGE
        case SubjectError():
            code = ExitCode.INCONCLUSIVE
        case HarnessError():
            code = ExitCode.BROKEN
        case _:
            traceback.print_exception(error)
            print("repro broke; this is a bug of the harness: please report it with the lines above", file=sys.stderr)  # noqa: T201
            return ExitCode.BROKEN
    print(f"repro: {error}", file=sys.stderr)  # noqa: T201 — the user's screen
    return code
