"""What of a run may leave this machine: its own secrets are known here, and each file goes through one `Redactor`."""

import gzip
import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from harness.core.errors import StoreError
from harness.core.files import read_text
from harness.report.redact import Redactor, is_secret
from harness.report.redact.redactor import secrets_in
from harness.scenario.load import PROJECT
from harness.store.dockerfiles import places_of
from harness.store.folder import RunFolder
from harness.store.folders import lies_in
from harness.store.salvage import Salvage

LOG_BYTES: Final = 20_000_000
"""Of a longer text, the end."""
_SCENARIO_BYTES: Final = 4_000_000
_DOCKERFILE_BYTES: Final = 1_000_000
_UNPACKED_BYTES: Final = 64_000_000
_LOOKED_THROUGH: Final = 256_000_000
_MOST_VALUES: Final = 500
"""How much of what lies beside Dockerfiles is looked for; a context may hold anything."""
_TELLING_DATABASES: Final = ("history", "metadata")
"""How databases are named that hold arguments, commands and addresses; the others hold digests and ids."""
_NAMED: Final = re.compile(r"""([\w.-]+)["']?\s*[:=]\s*["']?([^\s"',}]{4,})""")
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True)
class Withheld:
    """A file that does not leave."""

    why: str


def redactor_of(
    run: Path,
    environment: Mapping[str, str] = os.environ,
    hidden: Collection[str] = (),
    salvage: Salvage | None = None,
) -> Redactor:
    """Return the redactor of a run, or of a capture: it knows its scenario, command line and Dockerfiles.

    What by name or form is a secret in one of those, or in the environment that daemons inherit, is looked for
    everywhere, also where nothing around it says what it is. So are the values of what has a name in `hidden`.

    Args:
        run: its folder.
        environment: that of daemons.
        hidden: further names that are secret.
        salvage: takes note of what cannot be read, of which the lines are then gone through one by one.

    Raises:
        StoreError: one of these files is there and cannot be read, and nobody takes note of it.
    """
    values = {value for name, value in environment.items() if is_secret(name)}
    if salvage is None:
        scenario, command = scenario_of(run), _command_of(run)
    else:
        before = len(salvage.problems)
        scenario, command = salvage(lambda: scenario_of(run), {}), salvage(lambda: _command_of(run), [])
        if len(salvage.problems) > before:
            values |= _secrets_of_lines(run / "scenario.yaml", hidden) | _secrets_of_lines(run / "run.json", hidden)
    values |= set(_secrets_of(scenario, hidden))
    for word in command:
        values |= secrets_in(word)
        name, _, value = word.partition("=")
        if is_secret(name.rpartition(".")[2]):
            values.add(value)
    for folder in dockerfiles_of(run, scenario).values():
        values |= _secrets_of_dockerfiles(folder) if isinstance(folder, Path) else set()
    return Redactor(values)


def _command_of(run: Path) -> list[str]:
    """Return the words of the command line; none of a capture, or where `run.json` does not have what it should."""
    story: Any = RunFolder(run).read_json("run.json") if (run / "run.json").is_file() else {}
    words = story.get("argv") if isinstance(story, dict) else None
    return [str(word) for word in words] if isinstance(words, list) else []


def scenario_of(run: Path) -> dict[str, Any]:
    """Return a run's scenario as it is written; nothing where it is not there yet.

    Raises:
        StoreError: it cannot be read.
    """
    file = run / "scenario.yaml"
    try:
        if not file.exists():
            return {}
        written = yaml.safe_load(read_text(file, _SCENARIO_BYTES))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise StoreError(file, f"cannot be read: {Redactor().clean(str(error))}") from error
    return written if isinstance(written, dict) else {}


def dockerfiles_of(run: Path, scenario: Mapping[str, Any]) -> dict[str, Path | Withheld]:
    """Return, by what actors call their Dockerfiles' and named contexts' folders, the folder that may leave.

    That is the copy that the run made, or a shipped one; a received scenario may name any folder of this host.
    """
    found: dict[str, Path | Withheld] = {}
    for source, kept in places_of(run, dockerfile_folders(scenario)).items():
        if kept.is_dir() and lies_in(run, kept):
            found[str(source)] = kept
        elif source.is_dir() and lies_in(PROJECT / "dockerfiles", source):
            found[str(source)] = source
        else:
            why = f"{source} is neither shipped nor in the run's folder; what lies elsewhere on this host is not taken"
            found[str(source)] = Withheld(why)
    return found


def dockerfile_folders(scenario: Mapping[str, Any]) -> list[Path]:
    """Return the folders that a resolved scenario's actors name, in order, each once."""
    actors = scenario.get("actors")
    each = [actor for actor in actors if isinstance(actor, dict)] if isinstance(actors, list) else []
    named = [name for actor in each for name in _named_by(actor)]
    return list(dict.fromkeys(Path(name) for name in named if isinstance(name, str) and Path(name).is_absolute()))


def _named_by(actor: Mapping[str, Any]) -> list[Any]:
    several, contexts = actor.get("dockerfiles"), actor.get("contexts")
    return [
        actor.get("dockerfile"),
        *(several if isinstance(several, dict) else ()),
        *(contexts.values() if isinstance(contexts, dict) else ()),
    ]


def with_folders(actor: dict[str, Any], names: Mapping[str, str]) -> None:
    """Have an actor of a resolved scenario name folders by other names.

    Args:
        actor: it is changed.
        names: the new name of each folder; of others the name stays.
    """
    if str(actor.get("dockerfile")) in names:
        actor["dockerfile"] = names[actor["dockerfile"]]
    if isinstance(several := actor.get("dockerfiles"), dict):
        actor["dockerfiles"] = {names.get(name, name): weight for name, weight in several.items()}
    if isinstance(contexts := actor.get("contexts"), dict):
        actor["contexts"] = {name: names.get(str(place), place) for name, place in contexts.items()}


def content_of(file: Path, redactor: Redactor, *, databases: bool = False) -> bytes | Withheld:
    """Return what of a file may leave; of a text longer than `LOG_BYTES` its end.

    Args:
        file: one that lies in a run's folder.
        redactor: the run's.
        databases: also those that hold the arguments and commands of builds; what is known in them is overwritten.

    Raises:
        StoreError: it cannot be read.
    """
    if is_telling(file) and not databases:
        return Withheld("it holds the arguments and commands of every build, in forms of which not all are known")
    try:
        with file.open("rb") as stream:
            whole = stream.read(LOG_BYTES + 1)
            is_data = file.suffix == ".db" or b"\0" in whole
            if is_data and file.stat().st_size > _LOOKED_THROUGH:
                return Withheld(f"it is larger than the {_LOOKED_THROUGH // 10**6} MB that are looked through")
            if len(whole) > LOG_BYTES and b"\0" not in whole:
                stream.seek(-LOG_BYTES, os.SEEK_END)
                whole = stream.read().partition(b"\n")[2]  # not from the middle of a secret on
            else:
                whole += stream.read(_LOOKED_THROUGH)
    except OSError as error:
        raise StoreError(file, f"cannot be read: {error.strerror}") from error
    return _unpacked(whole, redactor) if whole.startswith(_GZIP) else redactor.clean_bytes(whole)


def is_telling(file: Path) -> bool:
    """Whether a file is a database that may hold secrets in forms that nobody knows."""
    return file.suffix == ".db" and file.stem.startswith(_TELLING_DATABASES)


def is_binary(content: bytes) -> bool:
    """Whether a reader sees no text, and so cannot check the content."""
    return b"\0" in content or content.startswith(_GZIP)


def _unpacked(packed: bytes, redactor: Redactor) -> bytes | Withheld:
    """Return a compressed file without the secrets in it; as it is where it has none."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(packed, _UNPACKED_BYTES)
    except zlib.error:
        return redactor.clean_bytes(packed, keep_length=True)
    if unpacking.unconsumed_tail:
        return Withheld(f"it is compressed, and more than {_UNPACKED_BYTES // 10**6} MB that cannot be looked through")
    cleaned = redactor.clean_bytes(content)
    return packed if cleaned == content else gzip.compress(cleaned, mtime=0)


def _secrets_of(value: Any, hidden: Collection[str], name: str = "", seen: set[int] | None = None) -> Iterator[str]:
    """Yield what is secret in plain data: behind a key that says so, or by its form in any text.

    Once is enough for what YAML's aliases have in many places: those may be more than anybody can go through.
    """
    seen = set() if seen is None else seen
    if isinstance(value, Mapping | list):
        if id(value) in seen:
            return
        seen.add(id(value))
        for key, item in value.items() if isinstance(value, Mapping) else ((name, item) for item in value):
            yield from _secrets_of(item, hidden, str(key), seen)
    elif value is not None and not isinstance(value, bool):
        if is_secret(name) or name in hidden:
            yield str(value)
        yield from secrets_in(str(value))


def _secrets_of_lines(file: Path, hidden: Collection[str]) -> set[str]:
    """Return what is secret in a file of names and values that is damaged: by what stands before a colon or `=`."""
    found: set[str] = set()
    try:
        with file.open("rb") as stream:
            text = stream.read(_DOCKERFILE_BYTES).decode(errors="replace")
    except OSError:
        return found
    for line in text.splitlines():
        found |= secrets_in(line)
        for name, value in _NAMED.findall(line):
            if is_secret(name) or name in hidden:
                found.add(value)
    return found


def _secrets_of_dockerfiles(folder: Path) -> set[str]:
    files = (file for file in folder.glob("*") if file.is_file() and lies_in(folder, file))
    found: set[str] = set()
    for file in sorted(files, key=lambda file: (file.name != "Dockerfile", file.name)):
        with file.open("rb") as stream:
            found |= secrets_in(stream.read(_DOCKERFILE_BYTES).decode(errors="replace"))
        if len(found) > _MOST_VALUES:
            break
    return found
