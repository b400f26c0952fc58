"""Which dumps are of one process: what is given may have those of a daemon, of its client, and of another daemon."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from harness.buildkit.goroutines.model import Goroutine
from harness.buildkit.goroutines.reading import Dump

_MAIN: Final = 1
"""The id of a program's first goroutine, which lives as long as it does."""
_ADDRESS: Final = re.compile(rb"0xc[0-9a-f]{9}")
"""One on Go's heap."""
_FEW: Final = 2
"""Goroutines that are told by their addresses; fewer say nothing."""
_MANY: Final = 5
"""Goroutines that are told by their makers, where the first is in neither."""


def by_process(dumps: Sequence[Dump]) -> list[list[Dump]]:
    """Return dumps apart by the process that they are of, each as they came; in doubt they are of one."""
    processes: list[list[Dump]] = []
    for dump in dumps:
        for known in processes:
            if _is_same(known[-1], dump):
                known.append(dump)
                break
        else:
            processes.append([dump])
    return processes


def _is_same(one: Dump, other: Dump) -> bool:
    """Whether two dumps may be of one process: what lives on in both has the same maker, and the same objects."""
    if _source(one) != _source(other):
        return False
    first, second = ({each.id: each for each in dump} for dump in (one, other))
    shared = [(first[id_], second[id_]) for id_ in first.keys() & second.keys()]
    if _MAIN in first and _MAIN in second:
        return _may_be(first[_MAIN], second[_MAIN]) and not _have_other_objects(shared)
    made = [_may_be(*pair) for pair in shared if pair[0].creator and pair[1].creator]
    return len(made) < _MANY or any(made)


def _source(dump: Dump) -> str:
    return dump[0].source if dump else ""


def _may_be(one: Goroutine, other: Goroutine) -> bool:
    """Whether two of one id may be one: made by the same function, and begun in the same."""
    if one.creator and other.creator:
        return one.creator.function == other.creator.function
    return not one.frames or not other.frames or one.frames[-1] == other.frames[-1]


def _have_other_objects(shared: Sequence[tuple[Goroutine, Goroutine]]) -> bool:
    """Whether goroutines that stand in the same calls stand there with other objects, every one of them."""
    pairs = [(_objects(one), _objects(other)) for one, other in shared if one.frames == other.frames]
    read_twice = [(one, other) for one, other in pairs if one and other]
    return len(read_twice) >= _FEW and not any(one == other for one, other in read_twice)


def _objects(each: Goroutine) -> Mapping[int, bytes]:
    """Return the first address in each call's arguments, by the call's number."""
    found = {number: _ADDRESS.search(arguments) for number, arguments in enumerate(each.arguments)}
    return {number: match[0] for number, match in found.items() if match}
