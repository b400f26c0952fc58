"""`repro`: one command of the table, and what every way to end exits with."""

import os
import sys
import traceback
from codecs import lookup
from importlib import import_module
from locale import getpreferredencoding
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from harness import __version__
from harness.cli.loading import loading
from harness.cli.output import install, leave, print_unless_output
from harness.cli.table import ABOUT, COMMANDS, WORKING, epilog
from harness.core.errors import HarnessError, HostGaveOut, Interrupted, SubjectError, UsageError
from harness.core.outcome import ExitCode
from harness.host.interrupt import first_of, heed_signals


class Commands(TyperGroup):
    """All commands by name; only the one that is called is loaded, for loading all takes seconds."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name=name, help=each.says) for name, each in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that is called, loaded; see the base class."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _loaded(name) if name else command, rest


def _loaded(name: str) -> Any:
    app, command = typer.Typer(rich_markup_mode=None, add_completion=False), COMMANDS[name]
    with loading():
        function = getattr(import_module(f"harness.cli.commands.{name}"), command.function)
    if isinstance(function, typer.Typer):
        return get_command(function)
    app.command(name, epilog=epilog(*command.examples))(function)
    return get_command(app)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"repro {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what `repro` itself is asked."""


def _app() -> Any:
    app = typer.Typer(
        cls=Commands, help=ABOUT, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
    )
    app.callback()(_options)
    return get_command(app)


def main() -> None:
    """Run one command and exit.

    Nothing leaves here as an exit code that ``git bisect run`` would misread: a usage error's customary 2 and a
    traceback's 1 both mean "bad" to it, and what was not asked anything has not found anything clean.
    """
    _require_utf8()
    heed_signals()
    is_working = sys.argv[1:2] != [] and sys.argv[1] in WORKING
    install(beside=is_working)
    if is_working and sys.stderr.isatty():
        print_unless_output(f"repro: loading `repro {sys.argv[1]}`")
    leave(_exit_code(sys.argv[1:]) if sys.argv[1:] else max(_exit_code(["--help"]), ExitCode.USAGE))


def _require_utf8() -> None:
    """Begin anew in Python's UTF-8 mode where this host's locale has another encoding: our files are all UTF-8."""
    encoding = getpreferredencoding(False)
    if lookup(encoding).name == "utf-8":
        return
    screen = {}
    if lookup(encoding).name != "ascii":  # the screen is still the user's; of plain ASCII Python itself knows better
        screen = {"PYTHONIOENCODING": f"{encoding}:backslashreplace"}
    argv = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
    os.execve(sys.executable, argv, {**screen, **os.environ})  # noqa: S606 — this very program


def _exit_code(words: list[str]) -> int:
    try:
        code = _app()(words, prog_name="repro", standalone_mode=False)
    except TyperException as error:
        asked = getattr(getattr(error, "ctx", None), "command_path", "repro")
        return _print_error(UsageError(f"{error.format_message()} (`{asked} --help` lists what there is)"))
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BaseExceptionGroup as group:
        return _print_error(first_of(group))
    except Exception as error:
        return _print_error(error)
    return code if isinstance(code, int) else ExitCode.CLEAN


def _print_error(error: BaseException) -> ExitCode:
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
        case OSError() if HostGaveOut.matches(error):
            error, code = HostGaveOut(error), ExitCode.BROKEN
        case _:
            traceback.print_exception(error)
            print("repro broke; this is a bug of the harness: please report it with the lines above", file=sys.stderr)  # noqa: T201
            return ExitCode.BROKEN
    print(f"repro: {error}", file=sys.stderr)  # noqa: T201 — the user's screen
    return code
