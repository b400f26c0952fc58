"""`repro toolchain`: the daemon binaries in the cache."""

from typing import Annotated

import anyio
import typer
from rich.table import Table

from harness.cli.console import Console
from harness.cli.options import complete_spec
from harness.cli.table import epilog
from harness.core.units import format_size
from harness.toolchain import Toolchain, cached_toolchains, remove, resolve

toolchain = typer.Typer(
    help="The daemon binaries in the cache.",
    rich_markup_mode=None,
    epilog=epilog("repro toolchain add buildkit:v0.25.1"),
)

Spec = Annotated[
    str, typer.Argument(metavar="SPEC", help="Such as debian:trixie, buildkit:v0.25.1.", autocompletion=complete_spec)
]


@toolchain.callback(invoke_without_command=True)
def toolchain_alone(context: typer.Context) -> None:
    """List the toolchains in the cache, where nothing else is asked for."""
    if context.invoked_subcommand is None:
        list_cached()


@toolchain.command("list", epilog=epilog("repro toolchain list"))
def list_cached() -> None:
    """List the toolchains in the cache."""
    table = Table("toolchain", "size", "folder", box=None, pad_edge=False, header_style="bold")
    for cached in cached_toolchains():
        table.add_row(cached.spec, format_size(cached.size), str(cached.folder))
    Console().print(table)


@toolchain.command("add", epilog=epilog("repro toolchain add debian:trixie"))
def add(spec: Spec) -> None:
    """Fetch a toolchain into the cache, and show what is in it."""
    found: Toolchain = anyio.run(resolve, spec)
    table = Table("program", "version", "sha256", box=None, pad_edge=False, header_style="bold")
    for name, binary in found.binaries.items():
        table.add_row(name, binary.version, binary.sha256[:16])
    console = Console()
    console.print(table)
    console.print(f"{found.spec} runs {', '.join(found.kinds) or 'no daemon'}")
    for cached in cached_toolchains():
        if cached.spec == found.spec and cached.checked:
            console.print(f"checked {cached.checked}", soft_wrap=True, markup=False)


@toolchain.command("remove", epilog=epilog("repro toolchain remove debian:trixie"))
def remove_cached(spec: Spec) -> None:
    """Remove a toolchain from the cache."""
    remove(spec)
    Console().print(f"{spec}: removed")
