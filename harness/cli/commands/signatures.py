"""`repro signatures`: the known bugs that dumps are compared with, and a user's own."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from harness.buildkit.goroutines.signatures import Signature, signatures_in, users_file
from harness.buildkit.goroutines.signatures import signatures as known
from harness.cli.console import Console
from harness.cli.table import epilog
from harness.core.errors import UnknownKind, UsageError

signatures = typer.Typer(
    help="The known bugs that dumps are compared with, and your own.",
    rich_markup_mode=None,
    epilog=epilog("repro signatures list", "repro signatures explain export-livelock"),
)


class BadSignatures(UsageError):
    """A file of signatures that cannot be read as one."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(f"{file} cannot be used as a file of signatures: {why}; write it as `signatures.yaml` is")


def own_files(*given: Path | None) -> tuple[Path, ...]:
    """Return the files of signatures beside the shipped one: those given, then the user's own where there is one.

    Raises:
        BadSignatures: one of them cannot be read as such.
    """
    found = (*filter(None, given), *([users_file()] if users_file().is_file() else []))
    for file in found:
        _read(file)
    return found


def _read(file: Path) -> tuple[Signature, ...]:
    try:
        return signatures_in(file)
    except (OSError, ValueError) as error:
        raise BadSignatures(file, str(error)) from error


@signatures.callback(invoke_without_command=True)
def signatures_alone(context: typer.Context) -> None:
    """List what is known, where nothing else is asked for."""
    if context.invoked_subcommand is None:
        list_known()


@signatures.command("list", epilog=epilog("repro signatures list"))
def list_known(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """List what is known, your own (~/.config/repro/signatures.yaml) first."""
    found = known(*own_files())
    if as_json:
        print(json.dumps([each.model_dump(mode="json") for each in found], indent=1))  # noqa: T201 — for machines
        return
    table = Table("signature", "kind", "place", "fixed in", box=None, pad_edge=False, header_style="bold")
    for each in found:
        table.add_row(each.name, each.kind or "leak", each.place, _fixed(each))
    Console().print(table)


@signatures.command("check", epilog=epilog("repro signatures check my-signatures.yaml"))
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="Signatures of your own.")]) -> None:
    """Check a file of signatures: its form, and that each can be told from others."""
    found = _read(file)
    print(f"{file}: {len(found)} signatures: {', '.join(each.name for each in found)}")  # noqa: T201


@signatures.command("explain", epilog=epilog("repro signatures explain export-livelock"))
def explain(name: Annotated[str, typer.Argument(metavar="NAME", help="As `repro diagnose` tells it.")]) -> None:
    """Explain a signature: what it means, what it is told by, in which versions it is, and where to read of it."""
    found = {each.name: each for each in known(*own_files())}
    if name not in found:
        raise UnknownKind("signature", name, found)
    one, console = found[name], Console(highlight=False)

    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, markup=False, soft_wrap=True)

    say(f"{one.name}: {one.kind or 'leak'} in {one.place}", "bold")
    say(f"    {' '.join(one.means.split())}")
    say(f"told by        {_recognized_by(one)}")
    for stack in one.stacks:
        say(f"    {', called by '.join(stack)}")
    for product, (first, fixed) in one.ranges.items():
        since = f"since {first}" if first else "since a version that nobody has looked up"
        say(f"{product:<14} {since}, {f'fixed in {fixed}' if fixed else 'no fix known'}")
    say(f"link           {one.link}")


def _recognized_by(one: Signature) -> str:
    if one.creator:
        return f"at least {one.least} goroutines more than its builds have, made by {one.creator}"
    state = f", in state {one.state}" if one.state else ""
    says = f", where it says {one.says!r}" if one.says else ""
    doubt = "; dumps cannot show that it is this, only that it may be" if one.suspect else ""
    return f"goroutines with these calls on their stacks, the innermost first{state}{says}{doubt}"


def _fixed(one: Signature) -> str:
    return ", ".join(f"{product} {version}" for product, version in one.fixed_in.items()) or "no fix known"
