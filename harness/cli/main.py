"""`repro`: the table of commands, and what every way to end exits with."""

import sys
import traceback
from typing import Final

import typer
from typer.exceptions import TyperException

from harness.cli.bundle import bundle_
from harness.cli.capture import capture
from harness.cli.clean import clean
from harness.cli.diagnose import diagnose_
from harness.cli.list import list_scenarios
from harness.cli.merge import merge_
from harness.cli.report import report
from harness.cli.resume import resume
from harness.cli.run import run
from harness.cli.schema import schema
from harness.cli.serve import serve
from harness.cli.show import show
from harness.cli.toolchain import toolchain
from harness.cli.watch import watch
from harness.engine import Interrupted
from harness.errors import HarnessError, SubjectError, UsageError
from harness.interrupt import first_of
from harness.outcome import ExitCode

app: Final = typer.Typer(
    name="repro",
    help="Stress reproduction harness for builds that export and never return.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run)
app.command("resume")(resume)
app.command("list")(list_scenarios)
app.command("show")(show)
app.command("report")(report)
app.command("diagnose")(diagnose_)
app.command("merge")(merge_)
app.command("serve")(serve)
app.command("bundle")(bundle_)
app.command("capture")(capture)
app.command("watch")(watch)
app.command("clean")(clean)
app.command("schema")(schema)
app.add_typer(toolchain, name="toolchain")


def main() -> None:
    """Run one command and exit.

    Nothing leaves here as an exit code that ``git bisect run`` would misread: a usage error's customary 2 and a
    traceback's 1 both mean "bad" to it.
    """
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        code = app(standalone_mode=False)
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
