"""What a search shows while it goes on, and what it came to: lines for a person, or machine lines."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, Protocol

from rich.table import Table
from rich.text import Text

from harness.buildkit.likeness import format_likeness
from harness.cli.console import Console
from harness.cli.display.json_lines import machine_line
from harness.cli.output import keep_telling
from harness.core.units import format_duration
from harness.core.wording import Wording
from harness.experiments.bisect.belief import GOOD, Belief, CulpritGroup
from harness.experiments.bisect.search import SearchAnswer, SearchReporter, settled
from harness.experiments.bisect.state import Observation, OtherHang, State

_PLAUSIBLE: Final = 0.01
"""Candidates with a smaller chance are not worth a line, unless somebody looked at them."""
_VERBS: Final = {
    "introduced": "brought the {noun}",
    "fixed": "took the {noun} away",
    "worse": "made the {noun} come more often",
}
_LIKELY: Final = 0.5
_SURELY_MORE: Final = 1.1
"""Times the clock's seconds: hosts that looked at once, and not what is saved between two looks."""
_SILENT_SECONDS: Final = 30.0
"""After so long a line says that a build, a download or a look still goes on."""


class SearchScreen(SearchReporter, Protocol):
    """A teller that also shows what is known, and the end."""

    def known(self, state: State) -> None:
        """Show what was seen of each candidate, and what is believed."""
        ...

    def shown(self, state: State, folder: Path) -> None:
        """Show a search that does not go on now: what is searched, the answer so far, and what it rests on."""
        ...

    def answered(self, state: State, answer: SearchAnswer, folder: Path) -> None:
        """Tell the answer."""
        ...

    def interrupted(self, folder: Path) -> None:
        """Tell how to go on."""
        ...


class PlainSearch:
    """Lines for a person."""

    def __init__(self, silent_for: float = _SILENT_SECONDS) -> None:
        self._console = Console()
        self._silent_for = silent_for
        self._said = threading.Event()

    def began(self, state: State) -> None:
        """Tell what is searched."""
        self._asked(state)
        if state.observations:
            spent = format_duration(round(state.took))
            self._say(f"going on after {len(state.observations)} looks and {spent}")

    def preparing(self, what: str) -> None:
        """Say what may take a while, and until something else is said that it still goes on."""
        self._say(what, "dim")
        keep_telling(lambda line: self._print(line, "dim"), what, self._silent_for, self._said)

    def saw(self, state: State, observation: Observation) -> None:
        """Tell a look, and what is believed after it."""
        seen, name = observation.look, state.candidates[observation.candidate].name
        told = {
            "hang": f"{Wording.of([seen.kind]).noun} within {seen.builds} builds "
            f"({seen.signature or 'of no signature'})",
            "clean": f"clean, {seen.builds} builds",
            "nothing": f"says nothing: {seen.because}",
        }[seen.said]
        line = f"{format_duration(round(state.took)):>8}  {name}  {told}, {observation.wall:.0f} s"
        if seen.said == "hang" and not observation.counts:
            line += f"; another name than {state.signature}: the look is left out"
        if observation.purpose == "search":
            line += f"; {_belief_line(state)}"
        if observation.purpose in {"good end", "search"} and (left := _left(state)):
            line += f"; {left}"
        self._say(line, {"hang": "red", "clean": "green", "nothing": "yellow"}[seen.said])

    def skipped(self, state: State, candidate: int) -> None:
        """Tell what cannot be tried."""
        self._say(f"skipped {state.candidates[candidate].name}: {state.left_out[candidate]}", "yellow")

    def calibrated(self, state: State) -> None:
        """Tell the rate, and what it makes of clean trials."""
        belief, words = state.belief, state.words
        low, likely, high = (1 / belief.rate(share) for share in (0.975, 0.5, 0.025))
        needed = belief.clean_needed(state.asked.confidence)
        self._say(
            f"{state.scenario} {words.third} once in {likely:.3g} builds ({low:.3g} to {high:.3g}), as "
            f"{state.signature}: {needed} clean builds make a candidate good at {state.asked.confidence:.0%}"
        )

    def known(self, state: State) -> None:
        """Print a line for each candidate that was looked at, or may be the one; and what all of it takes."""
        posterior, left_out = state.belief.posterior, state.left_out
        table = Table(box=None, pad_edge=False)
        for head in ("candidate", "chance", state.words.plural, "builds", "looks", "seconds"):
            table.add_column(head, no_wrap=True)
        table.add_column()
        for number, candidate in enumerate(state.candidates):
            seen = state.of(number)
            if not seen and posterior[number] < _PLAUSIBLE and number not in left_out:
                continue
            spent = sum(each.wall for each in seen) + (state.had[number].seconds if number in state.had else 0.0)
            builds = sum(each.look.builds for each in seen)
            hangs = f"{sum(each.counts for each in seen)}{_other_names(seen)}"
            chance = "" if number == 0 else f"{posterior[number]:.3f}"
            why = f"skipped: {left_out[number].splitlines()[0]}" if number in left_out else candidate.title
            title = Text(why, no_wrap=True, overflow="ellipsis")
            table.add_row(candidate.name, chance, hangs, str(builds), str(len(seen)), f"{spent:.0f}", title)
        self._console.print(table)
        self._say(_spent(state))

    def shown(self, state: State, folder: Path) -> None:
        """Show what is searched, and with what; then the answer so far, and what it rests on."""
        self._asked(state)
        hang = f", which {state.words.third} as {state.signature}" if state.signature else ""
        self._say(f"{state.asked.range}, with {state.scenario or ' or '.join(state.asked.scenarios)}{hang}")
        self.answered(state, so_far(state), folder)

    def _asked(self, state: State) -> None:
        ends = f"{state.candidates[0].name} to {state.candidates[-1].name}"
        self._say(f"{ends}: {len(state.candidates)} candidates; which one {_verb(state)}? seed {state.asked.seed}")
        if state.note:
            self._say(state.note)

    def answered(self, state: State, answer: SearchAnswer, folder: Path) -> None:
        """Tell the answer first, then what it rests on."""
        headline, said = _answer_text(state, answer)
        style = "bold green" if answer.kind == "found" else "yellow"
        self._say(Text(f"{headline}  ", style) + said)
        if answer.kind in {"found", "narrowed"}:
            self._say(_rates(state))
        self.known(state)
        self._say(str(folder))

    def interrupted(self, folder: Path) -> None:
        """Tell how to go on."""
        self._say(f"what was seen is kept: `repro bisect resume {folder}` goes on", "yellow")

    def _say(self, line: str | Text, style: str = "") -> None:
        self._said.set()
        self._said = threading.Event()
        self._print(line, style)

    def _print(self, line: str | Text, style: str) -> None:
        self._console.print(Text(line, style) if isinstance(line, str) else line, soft_wrap=True)


class JsonSearch:
    """One JSON object a line."""

    def began(self, state: State) -> None:
        """Say what is searched."""
        machine_line("began", candidates=[each.model_dump() for each in state.candidates], note=state.note)

    def preparing(self, what: str) -> None:
        """Say what may take a while."""
        machine_line("preparing", what=what)

    def saw(self, state: State, observation: Observation) -> None:
        """Say a look, and what is believed after it."""
        machine_line(
            "look",
            posterior=_posterior(state),
            left_seconds=_left_seconds(state),
            **observation.model_dump(mode="json"),
        )

    def skipped(self, state: State, candidate: int) -> None:
        """Say what cannot be tried."""
        machine_line("skipped", candidate=candidate, because=state.left_out[candidate])

    def calibrated(self, state: State) -> None:
        """Say the rate, and what it makes of clean trials."""
        belief, confidence = state.belief, state.asked.confidence
        machine_line(
            "calibrated",
            scenario=state.scenario,
            signature=state.signature,
            rate=belief.rate(),
            clean_needed=belief.clean_needed(confidence),
        )

    def known(self, state: State) -> None:
        """Say all that is known."""
        machine_line("known", state=state.model_dump(mode="json"), posterior=_posterior(state))

    def answered(self, state: State, answer: SearchAnswer, folder: Path) -> None:
        """Say the answer."""
        names = [state.candidates[member].name for member in answer.group.members]
        machine_line(
            "answer",
            kind=answer.kind,
            candidates=names,
            chance=answer.group.mass,
            other_hangs=[asdict(other) for other in state.other_hangs],
            posterior=_posterior(state),
            seconds=state.took,
            machine_seconds=state.seconds,
            folder=str(folder),
        )

    def shown(self, state: State, folder: Path) -> None:
        """Say all that is known, and the answer so far."""
        self.known(state)
        self.answered(state, so_far(state), folder)

    def interrupted(self, folder: Path) -> None:
        """Say where the search is."""
        machine_line("interrupted", folder=str(folder))


def so_far(state: State) -> SearchAnswer:
    """Return what a search that does not go on now has come to."""
    answer = settled(state) if state.scenario else None
    return answer or SearchAnswer("not ended", state.belief.groups[0])


def _verb(state: State) -> str:
    """Return what the candidate that is searched for did."""
    return _VERBS[state.asked.find].format(noun=state.words.noun)


def _answer_text(state: State, answer: SearchAnswer) -> tuple[str, str]:
    """Return the headline of an answer, and the sentence after it."""
    words, verb, chance = state.words, _verb(state), f"{answer.group.mass:.1%}"
    members = [state.candidates[member] for member in answer.group.members]
    named = " or ".join(f"{each.name} {each.title}".strip() for each in members)
    if len(members) > 1:
        named += " (what lies between cannot be tried)"
    good = state.candidates[state.good_end].name
    headline, sentence = {
        "found": ("FOUND", f"{named} {verb}; chance {chance}"),
        "narrowed": (f"ONE OF {len(members)}", f"{named} {verb}; chance {chance}"),
        "another name": (
            "UNDER ANOTHER NAME",
            f"{named} {verb} as {state.signature}, with a chance of {chance}; whether it came before is for you to say",
        ),
        "good end hangs": (
            "NOT IN RANGE",
            f"the good end {good} {words.third} as well; chance {chance}{_next_range(state)}",
        ),
        "no order": (
            "NO SINGLE CHANGE",
            f"the {words.noun} comes and goes among the candidates, with a chance of {state.belief.no_order:.1%}: look "
            "at them below, and search a part of the range in which one change can be all",
        ),
        "not ended": ("NOT YET", f"`repro bisect resume` goes on; {_belief_line(state)}"),
        "not yet": ("NOT YET", f"time is up; likeliest so far, with {chance}: {_belief_line(state)}"),
        "no more to learn": ("NOT FOUND", f"no look is worth its time any more; {_belief_line(state)}"),
    }[answer.kind]
    return headline, sentence + "".join(_other_hang_text(state, other) for other in state.other_hangs)


def _next_range(state: State) -> str:
    """Return what to search instead of a range whose good end hangs."""
    end = "a newer" if state.asked.find == "fixed" else "an older"
    if state.asked.find == "worse":
        return f": search a range with {end} good end"
    return (
        f" that it does at least a third as often as the bad one: search a range with {end} good end, or "
        "for a smaller rise by `--find worse`"
    )


def _other_hang_text(state: State, other: OtherHang) -> str:
    """Return hangs of another name: where they were, how like the other they are, and what the user can say of them."""
    words = state.words
    names = ", ".join(state.candidates[each].name for each in sorted({*other.candidates}))
    told = f"; left out, with {words.counted(len(other.candidates))} as {other.name or 'nothing known'}: {names}"
    if other.name in state.asked.apart:
        return f"{told}, another {words.noun} as you say"
    told += format_likeness(other.likeness)
    if other.name and other.name not in state.in_question:
        return f"{told}, so another {words.noun}; if it is the same, `repro bisect resume --also {other.name}`"
    if not other.name:
        return f"{told}; if they are the same {words.noun}, start again with --any-hang"
    return (
        f"{told}; `repro bisect resume --also {other.name}` if it is the same {words.noun}, "
        f"`--apart {other.name}` if it is another"
    )


def _other_names(looks: Sequence[Observation]) -> str:
    """Return the hangs of other names of a candidate, for the table."""
    others = Counter(seen.look.signature or "nothing known" for seen in looks if seen.is_another_hang)
    return "".join(f", {count} as {name}" for name, count in others.items())


def _rates(state: State) -> str:
    """Return how often it hangs on both sides, and whether another candidate made it worse too."""
    belief, words = state.belief, state.words
    rarely = belief.rate(0.95, GOOD)
    with_it, without = ("without it", "with it") if state.asked.find == "fixed" else ("with it", "without")
    sides = f"one {words.noun} in {_builds(belief.rate())} builds {with_it}"
    if belief.rate(0.5, GOOD):
        sides += f", in {_builds(belief.rate(0.5, GOOD))} {without}"
    elif rarely:
        sides += f", none in {_builds(rarely)} {without}"
    two = belief.two_changes
    return sides + (
        f"; likely not the only one ({two:.0%}): it {words.third} at three rates in this range" * (two > _LIKELY)
    )


def _builds(rate: float) -> str:
    """Return in how many builds one comes at a rate, to three digits at most and without a power of ten."""
    return f"{float(f'{1 / rate:.3g}'):,g}" if rate * 1e6 > 1 else "a million and more"


def _belief_line(state: State) -> str:
    """Return the likeliest candidate, and the number of candidates left."""
    belief = state.belief
    group: CulpritGroup = belief.groups[0]
    left = sum(chance >= _PLAUSIBLE for chance in belief.posterior)
    if 0 in group.members:
        return f"{left} left, the likeliest is that the good end {state.words.third} too ({group.mass:.2f})"
    names = " or ".join(state.candidates[member].name for member in group.members)
    return f"{left} left, the likeliest {names} ({group.mass:.2f}{_doubt(state, belief, group)})"


def _doubt(state: State, belief: Belief, group: CulpritGroup) -> str:
    """Return why a search goes on although it is sure enough of the likeliest candidate; empty where it is not."""
    unsettled = belief.unsettled(state.asked.confidence)
    if unsettled is not None and unsettled is not belief:
        mass = next(each.mass for each in unsettled.groups if each.members == group.members)
        return f", {mass:.2f} if good ones {state.words.base} now and then"
    if unsettled is None and belief.hung_once(group) is not None:
        return f", if its {state.words.noun} comes again"
    return ""


def _spent(state: State) -> str:
    """Return what the search took, and what it will take still."""
    building = sum(had.seconds for had in state.had.values())
    builds = sum(seen.look.builds for seen in state.observations)
    left = _left(state)
    hosts = (
        f" ({format_duration(round(state.seconds))} of all hosts)" if state.seconds > _SURELY_MORE * state.took else ""
    )
    return (
        f"{len(state.observations)} looks, {builds} builds, {format_duration(round(state.took))}{hosts}, of which "
        f"{format_duration(round(building))} building {len(state.had)} candidates{f'; {left}' if left else ''}"
    )


def _left(state: State) -> str:
    """Return what the search will take still; nothing where that is unknown, or where it is over."""
    left = state.left
    if left is None or left.high80 == 0:
        return ""
    low, high = (format_duration(round(seconds)) for seconds in (left.low80, left.high80))
    return f"{low} to {high} more"


def _left_seconds(state: State) -> dict[str, float] | None:
    left = state.left
    return asdict(left) if left else None


def _posterior(state: State) -> list[float]:
    return [float(chance) for chance in state.belief.posterior]
