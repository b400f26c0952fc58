"""The waits in one dump: locks with their holders, groups with their members.

Go prints no owner of a lock. It prints addresses: the lock's own where a goroutine waits for it, and the object's that
the lock is part of in every call that has the object. Whoever has that object in a call, and is held up by something
else below that call, holds the lock. Where the addresses say nothing (optimised away, ``debug=1``, made up), the type
whose method asks for the lock stands for the object.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from harness.buildkit.goroutines.model import DAEMONS, Goroutine
from harness.buildkit.goroutines.waits import BLOCKED, ON_CORE, is_carrier, place, waits_for_lock, watches

_WORD: Final = re.compile(rb"0x([0-9a-f]{9,16})(?![0-9a-f])")
"""An address on Go's heap; shorter words are numbers, or what was there before."""
_TYPE: Final = re.compile(r"^.*\.\(\*?[^()]+\)(?=\.)")
_CLOSURE: Final = re.compile(r"\.(?:func|deferwrap|gowrap)\d+.*$")
_OBJECT: Final = 4_096
"""Bytes of an object in which its lock is looked for."""
_BY_TYPE: Final = _OBJECT
"""The distance of a method whose object is not told."""
_MADE_UP: Final = 4
"""Packages whose methods cannot all be of one object."""
_RUNTIME: Final = ("sync.", "internal/sync.", "runtime.")
_GROUPS: Final = frozenset({"sync.WaitGroup.Wait", "select", "chan receive"})
"""States of a goroutine that waits for goroutines of its own."""
_SCHEDULER: Final = "github.com/moby/buildkit/solver.(*scheduler)."


@dataclass(frozen=True)
class ContendedLock:
    """A lock that is waited for."""

    name: str
    """The type that it is part of, or else the function that asks for it."""
    waiters: tuple[int, ...]
    holder: int | None
    """The goroutine that holds the lock, as far as the stacks show; None where they show none."""


@dataclass(frozen=True)
class Knot:
    """Where chains of waits end: one goroutine, or a circle of them."""

    members: tuple[int, ...]
    """Ascending."""
    is_circle: bool
    behind: tuple[int, ...]
    """Who waits for one of them, at whatever distance; ascending."""


def plain(function: str) -> str:
    """Return a function without the closures in it: those are numbered anew by every change."""
    return _CLOSURE.sub("", function)


def package_of(function: str) -> str:
    """Return the package of a function, with its path."""
    path, slash, name = function.rpartition("/")
    return path + slash + name.partition(".")[0]


def kind_of(function: str) -> str:
    """Return the type that a function is a method of; empty where it is of none."""
    match = _TYPE.match(function)
    return match[0] if match else ""


def _words(arguments: bytes) -> list[int]:
    return [int(word, 16) for word in _WORD.findall(arguments)]


@dataclass(frozen=True)
class _Asked:
    """A lock as it stands in one waiter's call."""

    at: int
    """The number of the call that asks."""
    lock: int
    """The lock's address; 0 where it is not told."""
    base: int
    """That of the object which it is part of; 0 where it is not told."""
    type: str
    function: str


@dataclass(frozen=True)
class _Sought:
    """A lock without a known holder."""

    name: str
    packages: set[str]
    """Those of the functions that ask for it."""
    locks: set[int]
    """Its addresses."""
    bases: set[int]
    """Those of the object that it is part of."""


class WaitGraph:
    """The waits of one dump."""

    def __init__(self, dump: Sequence[Goroutine]) -> None:
        self.by_id: Mapping[int, Goroutine] = {each.id: each for each in dump}
        self._made_up = self._unbelievable()

    @cached_property
    def locks(self) -> tuple[ContendedLock, ...]:
        """The locks, those that most wait for first."""
        waiting = {id_: self._asked(each) for id_, each in self.by_id.items() if waits_for_lock(each)}
        asked = {id_: one for id_, one in waiting.items() if one}
        groups: dict[int | str, list[int]] = {}
        for id_, one in asked.items():
            groups.setdefault(one.lock or one.base or one.type or one.function, []).append(id_)
        for key, members in [*groups.items()]:  # what tells its object alone joins what tells its lock too
            other = next((name for name in groups if name != key and self._is_part(asked, groups[name], key)), None)
            if other is not None:
                groups[other] += members
                del groups[key]
        locks = [self._lock(sorted(members), asked) for members in groups.values()]
        return tuple(sorted(locks, key=lambda lock: (-len(lock.waiters), lock.waiters)))

    @staticmethod
    def _is_part(asked: Mapping[int, _Asked], members: Sequence[int], base: int | str) -> bool:
        return isinstance(base, int) and any(asked[id_].lock and asked[id_].base == base for id_ in members)

    @cached_property
    def waits(self) -> Mapping[int, tuple[int, ...]]:
        """The goroutines that each one waits for, as far as the stacks show."""
        found: dict[int, set[int]] = {}
        for lock in self.locks:
            for waiter in lock.waiters:
                if lock.holder is not None:
                    found.setdefault(waiter, set()).add(lock.holder)
        for id_, each in self.by_id.items():
            maker = self.by_id.get(each.parent or 0)
            if maker and maker.state in _GROUPS and each.state in BLOCKED and place(each) and not watches(each):
                found.setdefault(maker.id, set()).add(id_)
        return {id_: tuple(sorted(whom)) for id_, whom in found.items()}

    def knots(self) -> list[Knot]:
        """Return where the chains of waits end."""
        members = [part for part in self._components() if not self._leaves(part)]
        back: dict[int, list[int]] = {}
        for waiter, whom in self.waits.items():
            for each in whom:
                back.setdefault(each, []).append(waiter)
        found = []
        for part in members:
            behind, ahead = set(part), [*part]
            while ahead:
                new = [each for each in back.get(ahead.pop(), ()) if each not in behind]
                behind.update(new)
                ahead += new
            is_circle = any(each in part for other in part for each in self.waits.get(other, ()))
            found.append(Knot(tuple(sorted(part)), is_circle, tuple(sorted(behind - part))))
        return found

    def lock_of(self, id_: int) -> ContendedLock | None:
        """Return the lock that a goroutine waits for."""
        return self._waited_for.get(id_)

    @cached_property
    def holders(self) -> frozenset[int]:
        """Those that hold a lock which somebody waits for."""
        return frozenset(lock.holder for lock in self.locks if lock.holder is not None)

    @cached_property
    def _waited_for(self) -> Mapping[int, ContendedLock]:
        return {id_: lock for lock in self.locks for id_ in lock.waiters}

    def _leaves(self, part: set[int]) -> bool:
        return any(each not in part for member in part for each in self.waits.get(member, ()))

    def _components(self) -> Iterator[set[int]]:
        """Yield goroutines that wait for one another, and each other one alone (Tarjan's walk, without recursion)."""
        number: dict[int, int] = {}
        low: dict[int, int] = {}
        path: list[int] = []
        on_path: set[int] = set()
        for root in self.by_id:
            if root in number:
                continue
            work = [(root, iter(self.waits.get(root, ())))]
            number[root] = low[root] = len(number)
            path.append(root)
            on_path.add(root)
            while work:
                here, ahead = work[-1]
                new = next((each for each in ahead if not self._seen(each, here, number, low, on_path)), None)
                if new is not None:
                    number[new] = low[new] = len(number)
                    path.append(new)
                    on_path.add(new)
                    work.append((new, iter(self.waits.get(new, ()))))
                    continue
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[here])
                if low[here] == number[here]:
                    part: set[int] = set()
                    while here not in part:
                        part.add(path.pop())
                    on_path -= part
                    yield part

    @staticmethod
    def _seen(each: int, here: int, number: dict[int, int], low: dict[int, int], on_path: set[int]) -> bool:
        if each not in number:
            return False
        if each in on_path:
            low[here] = min(low[here], number[each])
        return True

    def _unbelievable(self) -> frozenset[int]:
        """Return the addresses that stand for objects of too many kinds: somebody made them up."""
        packages: dict[int, set[str]] = {}
        for each in self.by_id.values():
            for frame, arguments in zip(each.frames, each.arguments, strict=False):
                if words := _words(arguments[:24]):
                    packages.setdefault(words[0], set()).add(frame.function.partition("(")[0])
        return frozenset(word for word, names in packages.items() if len(names) > _MADE_UP)

    def _objects(self, arguments: bytes) -> list[int]:
        return [word for word in _words(arguments) if word not in self._made_up]

    def _asked(self, each: Goroutine) -> _Asked | None:
        at = next((n for n, frame in enumerate(each.frames) if not frame.function.startswith(_RUNTIME)), None)
        if at is None or not place(each):
            return None
        function = each.frames[at].function
        lock = next(iter(self._objects(each.lock.encode())), 0)
        words = self._objects(each.arguments[at]) if at < len(each.arguments) else []
        if lock:
            base = max((word for word in words if 0 <= lock - word < _OBJECT), default=0)
        else:
            base = words[0] if words and each.arguments[at].startswith(b"0x") else 0
        return _Asked(at, lock, base, kind_of(function), plain(function))

    def _lock(self, waiters: list[int], asked: Mapping[int, _Asked]) -> ContendedLock:
        bases = {asked[id_].base for id_ in waiters} - {0}
        sought = _Sought(
            name=self._name(waiters, asked, bases),
            packages={package_of(asked[id_].function) for id_ in waiters},
            locks={asked[id_].lock for id_ in waiters} - {0},
            bases=bases,
        )
        own = {id_: asked[id_] for id_ in waiters}
        ranks = {id_: rank for id_, each in self.by_id.items() if (rank := self._holds(each, own.get(id_), sought))}
        holder = max(ranks, key=lambda id_: (ranks[id_], self.by_id[id_].minutes, -id_), default=None)
        return ContendedLock(sought.name, tuple(waiters), holder)

    def _name(self, waiters: Sequence[int], asked: Mapping[int, _Asked], bases: set[int]) -> str:
        """Return the type of the object that has the lock, or the function of its longest waiter."""
        for each in self.by_id.values():
            for frame, arguments in zip(each.frames, each.arguments, strict=False):
                if bases and (type_ := kind_of(frame.function)) and not _CLOSURE.search(frame.function):
                    first = self._objects(arguments.partition(b",")[0])
                    if first and first[0] in bases and "[...]" not in type_ and type_.startswith(DAEMONS):
                        return type_
        types = {asked[id_].type for id_ in waiters}
        longest = max(waiters, key=lambda id_: (self.by_id[id_].minutes, -id_))
        return (len(types) == 1 and types.pop()) or asked[longest].function

    def _holds(self, each: Goroutine, own: _Asked | None, sought: _Sought) -> tuple[int, ...] | None:
        """Return how likely it holds a lock, for comparison; None where nothing says so.

        Args:
            each: the goroutine.
            own: how it waits for that lock itself, where it does.
            sought: the lock.
        """
        where = place(each)
        if each.state == "sleep" or not where or (where.startswith(_SCHEDULER) and not waits_for_lock(each)):
            return None
        away = [
            distance
            for at in range(own.at + 1 if own else 0, len(each.frames))
            if (distance := self._distance(each, at, sought)) is not None and not (own and distance == _BY_TYPE)
        ]
        if not away:
            return None
        is_plain = each.state != "sync.Cond.Wait"  # who waits for a condition has given its lock away
        return (own is None, -min(away), each.state in ON_CORE, not is_carrier(each), is_plain)

    def _distance(self, each: Goroutine, at: int, sought: _Sought) -> int | None:
        """Return how many bytes a call's nearest argument is from a lock's object; None if all are outside it."""
        function = each.frames[at].function
        if function.startswith(_RUNTIME):
            return None
        words = self._objects(each.arguments[at]) if at < len(each.arguments) else []
        if any(word in sought.bases or word in sought.locks for word in words):
            return 0
        is_method = kind_of(function) == sought.name
        if not sought.bases and (is_method or package_of(function) in sought.packages):
            reach = _OBJECT if is_method else _OBJECT // 8
            near = [lock - word for lock in sought.locks for word in words if 0 < lock - word < reach]
            if near:
                return min(near)
        is_argument = self._objects(each.arguments[at].partition(b",")[0]) if words else []
        return _BY_TYPE if is_method and not is_argument else None
