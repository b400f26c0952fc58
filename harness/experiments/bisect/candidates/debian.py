"""``debian:bookworm,trixie`` or ``debian:bookworm..forky``: Debian's suites, each with its packages as they stand."""

from itertools import pairwise
from typing import Final

from harness.experiments.bisect.candidates.base import (
    BadRange,
    Chain,
    OneCandidate,
    Options,
    Range,
    SameEnds,
    WrongWayRound,
    chain,
)
from harness.experiments.bisect.candidates.versions import between_names, parse_ends
from harness.toolchain.apt import SUITE_NAME

SUITES: Final = ("stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "sid")
"""In the order of their releases; sid is what all of them come from."""
_ALIASES: Final = ("oldoldstable", "oldstable", "stable", "testing", "unstable")


class Suites:
    """Takes the user's suites in the user's order, which must not go against that of the releases."""

    async def find(self, argument: str, options: Options) -> Range:
        """Return the range of suites; none is asked for yet."""
        del options
        text = f"debian:{argument}"
        if ".." in argument:
            older, newer = parse_ends(text, argument)
            known = _ALIASES if older in _ALIASES else SUITES
            names = [*between_names(text, known, older, newer)]
        else:
            names = [name.strip() for name in argument.split(",")]
        for name in names:
            if not SUITE_NAME.fullmatch(name):
                raise BadRange(text, f"{name!r} is no suite; list them oldest first, as in debian:bookworm,trixie")
        for order in (SUITES, _ALIASES):
            for older, newer in pairwise(name for name in names if name in order):
                if older == newer:
                    raise SameEnds(text, older, newer)
                if order.index(older) > order.index(newer):
                    raise WrongWayRound(text, older, newer)
        if len(names) < 2:
            raise OneCandidate(text, names)
        return Chain(chain(names), tuple(f"debian:{name}" for name in names))
