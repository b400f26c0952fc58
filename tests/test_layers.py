"""The layers: who may import whom. Low rows first; a module imports only from its own package and from rows before it.

Within a row modules may import each other, but not in a circle. Imports in functions and under ``TYPE_CHECKING`` count.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest

import harness

LAYERS: Final[Mapping[str, tuple[str, ...]]] = {
    "version": ("harness",),
    "names": ("errors", "outcome", "units", "written", "delay", "dice", "stats", "survival", "records"),
    "pure": ("progress", "goroutines", "diagnosis", "leak", "lives", "judge", "merge", "contrast"),
    "host": (
        *("proc", "burden", "cache", "cgroup", "hostinfo", "attention", "ledger", "interrupt", "apt"),
        *("logs", "share", "owner", "proof"),
    ),
    "files": ("triggers", "scenario", "store", "past", "aggregate", "belonging", "shards"),
    "parts": ("toolchain", "base_image", "registry", "daemons", "detectors", "actors", "evidence"),
    "engine": (
        *("aftermath", "audit", "budget", "notify", "orphans", "sampler"),
        *("conductor", "session", "plan", "run", "engine"),
    ),
    "users": (
        *("charts", "report", "web", "capture", "vigil", "watchman", "doctor"),
        *("look", "series", "compare", "verify", "bisect"),
    ),
    "edge": ("cli", "__main__"),
}
"""The rows, low to high, with the modules and packages of each; ``harness`` is the root package's own file."""

Edges = Mapping[str, frozenset[str]]


def modules(root: Path) -> dict[str, Path]:
    """Return every module below the root package, by its dotted name."""
    found = {}
    for file in sorted(root.rglob("*.py")):
        parts = (root.name, *file.relative_to(root).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(name: str, file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Yield the modules of the root package that a module imports, wherever in its text it does."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            named = [f"{base}.{alias.name}" for alias in node.names]
            wanted = [whole if whole in known else base for whole in named]  # a name in a module, or a module
        else:
            continue
        root = name.split(".", maxsplit=1)[0]
        yield from (module for module in wanted if module.split(".")[0] == root and module != name)


def graph(root: Path) -> Edges:
    """Return what each module imports."""
    known = modules(root)
    return {name: frozenset(imports(name, file, known)) for name, file in known.items()}


def unit(module: str) -> str:
    """Return the module or package right below the root that a module belongs to; the root's own file is the root."""
    return module.split(".")[1] if "." in module else module


def between_units(edges: Edges) -> Edges:
    """Return what each module or package right below the root imports of the others."""
    joined: dict[str, set[str]] = {unit(name): set() for name in edges}
    for name, wanted in edges.items():
        joined[unit(name)] |= {unit(module) for module in wanted} - {unit(name)}
    return {name: frozenset(wanted) for name, wanted in joined.items()}


def circle(edges: Edges) -> list[str]:
    """Return the names along a circle of imports, the first one again at the end; nothing where there is none."""
    done: set[str] = set()

    def follow(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for wanted in sorted(edges.get(name, ())):
                found = follow(wanted, [*path, name])
                if found:
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := follow(name, []))), [])


def upward(edges: Edges, layers: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the imports that lead to a higher row."""
    height = {name: row for row, names in enumerate(layers.values()) for name in names}
    return [
        f"{name} imports {wanted}"
        for name, imported in edges.items()
        for wanted in sorted(imported)
        if height[unit(wanted)] > height[unit(name)]
    ]


GRAPH = graph(Path(harness.__file__).parent)


def test_every_module_has_a_row() -> None:
    """The table has every module and package there is, once, and none that there is not."""
    named = [name for names in LAYERS.values() for name in names]
    assert sorted(named) == sorted({unit(name) for name in GRAPH})


def test_nothing_imports_upwards() -> None:
    """No module imports from a row above its own."""
    assert upward(GRAPH, LAYERS) == []


def test_no_circle_of_parts() -> None:
    """No modules or packages import each other in a circle, within a row or across rows."""
    assert circle(between_units(GRAPH)) == []


def test_no_circle_of_modules() -> None:
    """No modules import each other in a circle within a package either."""
    assert circle(GRAPH) == []


@pytest.mark.parametrize(
    "text",
    [
        "import root.high",
        "import root.high.part as p",
        "from root import high",
        "from root.high import part",
        "from root.high.part import thing",
        "from . import high",
        "from .high.part import thing",
        "def late():\n    from root.high import thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from root.high import thing",
        "try:\n    import root.high\nexcept ImportError:\n    pass",
    ],
)
def test_every_way_to_import_is_seen(tmp_path: Path, text: str) -> None:
    """An import upwards is found however it is written and wherever it stands."""
    root = package(tmp_path, {"low.py": text, "high/__init__.py": "", "high/part.py": "thing = 1"})
    [said] = upward(graph(root), {"low": ("root", "low"), "high": ("high",)})
    assert said.startswith("root.low imports root.high")


def test_what_is_allowed(tmp_path: Path) -> None:
    """Imports downwards, along a row, in one's own package, and of what is not ours, are no faults."""
    root = package(
        tmp_path,
        {
            "low.py": "import json, rootless.high",
            "beside.py": "from root.low import x\nfrom root import __version__",
            "high/__init__.py": "from root.high.part import y",
            "high/part.py": "from root import low\nfrom root.beside import z\nfrom .other import w",
            "high/other.py": "",
        },
    )
    edges = graph(root)
    assert upward(edges, {"low": ("root", "low", "beside"), "high": ("high",)}) == []
    assert circle(edges) == circle(between_units(edges)) == []
    assert edges["root.high.part"] == {"root.low", "root.beside", "root.high.other"}


def test_circles_are_seen(tmp_path: Path) -> None:
    """A circle is found among modules of a package, and among parts of which no two modules import each other."""
    modules_of_one = {
        "a/__init__.py": "",
        "a/b.py": "from root.a import c",
        "a/c.py": "def f():\n    from root.a.b import x",
    }
    assert circle(graph(package(tmp_path / "1", modules_of_one))) == ["root.a.b", "root.a.c", "root.a.b"]
    parts = {
        "a/__init__.py": "",
        "a/one.py": "from root.b import x",
        "a/two.py": "",
        "b.py": "from root.c import x",
        "c.py": "from root.a.two import x",
    }
    edges = graph(package(tmp_path / "2", parts))
    assert circle(edges) == []
    assert circle(between_units(edges)) == ["a", "b", "c", "a"]


def package(folder: Path, files: Mapping[str, str]) -> Path:
    """Make a package named ``root``."""
    for name, text in {"__init__.py": "__version__ = '1'", **files}.items():
        file = folder / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return folder / "root"
