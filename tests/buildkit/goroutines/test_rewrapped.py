"""Dumps whose lines are not a dump's any more: with columns behind, as literals, torn, turned round, encoded."""

import base64
import html
import io
import json
import quopri
import re
import textwrap
import urllib.parse
from collections.abc import Callable
from typing import Final

import pytest

from harness.buildkit.goroutines.lines import lines_of
from harness.buildkit.goroutines.model import Goroutine
from harness.buildkit.goroutines.parse import goroutines
from harness.buildkit.goroutines.rewrapped import way_of
from tests.buildkit.goroutines.test_lines import DAY, TEXT, WRAPS, Wrap, after, each

STAMP: Final = DAY.decode()
PIPES: Final = {"|": "||", "\n": "|n", "'": "|'", "[": "|[", "]": "|]"}


def read(text: bytes) -> list[Goroutine]:
    """Return the goroutines in a text, read in the way that fits it."""
    return [*goroutines(way_of(io.BytesIO(text))(io.BytesIO(text)))]


def whole(wrap: Callable[[str], str]) -> Wrap:
    """Return what writes a text anew."""
    return lambda text: wrap(text.decode()).encode()


def torn(width: int, between: str, quote: str = "") -> Wrap:
    """Return what breaks long lines: at blanks, as a mail does, or anywhere, as a terminal does."""

    def pieces(line: str) -> list[str]:
        if between:
            return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) if line.strip() else [""]
        line = line.expandtabs(8)
        return [line[at : at + width] for at in range(0, len(line), width)] or [""]

    return whole(lambda text: "".join(f"{quote}{piece}\n" for line in text.splitlines() for piece in pieces(line)))


def piped(text: str) -> str:
    """Return a text as TeamCity escapes it."""
    return "".join(PIPES.get(letter, letter) for letter in text)


def in_rtf(text: str) -> str:
    """Return a text as a word processor keeps it."""
    lines = (re.sub(r"([\\{}])", r"\\\1", line).replace("\t", "\\tab ") for line in text.splitlines())
    return "{\\rtf1\\ansi{\\fonttbl{\\f0 Courier;}}\\f0\\fs20\n" + "".join(f"{line}\\par\n" for line in lines) + "}"


def folded(text: str) -> str:
    """Return a text as YAML folds it in double quotes."""
    return 'message: "' + json.dumps(text)[1:-1].replace(" ", " \\\n  \\ ".replace("\\ ", "")) + '"\n'


COLUMNS: Final[dict[str, Wrap]] = {
    "CloudWatch's table": each(lambda line: f"| {STAMP}| {line.expandtabs(4):<120} | ecs/buildkitd/01 |"),
    "CloudWatch's CSV": each(lambda line: f"{STAMP},{line},ecs/b/01" if "," not in line else f'{STAMP},"{line}",ecs'),
    "aws logs --output text": each(lambda line: f"EVENTS\t3672\t17540\tecs/b/01\t{line}\t1754042400000"),
    "a stream's name behind": each(lambda line: f"{STAMP}{line} ecs/buildkitd/0123abcd"),
    "a pod's name behind": each(lambda line: f"{STAMP} {line:<100}   buildkitd-0   ci"),
    "a level behind": each(lambda line: f"{line}\tinfo\tbuildkitd"),
    "a panel": each(lambda line: f"\u2551 {line.expandtabs(4):<120} \u2551"),
    "a semicolon behind": each(lambda line: f"{line};"),
    "a break of Markdown": each(lambda line: f"{line}\\"),
    "bold": each(lambda line: f"**{line}**" if line else ""),
}
LITERALS: Final[dict[str, Wrap]] = {
    "a list of Python's": whole(lambda text: repr(text.splitlines())),
    "a list of Python's, with ends": whole(lambda text: repr(text.splitlines(keepends=True))),
    "dicts of Python's": each(lambda line: repr({"log": f"{line}\n", "stream": "stderr"})),
    "dicts of Python's, the line last": each(lambda line: repr({"time": STAMP, "log": line})),
    "tuples of Python's": each(lambda line: repr((STAMP, line))),
    "an array in single quotes": whole(
        lambda text: "[" + ",\n".join(f"  {line!r}" for line in text.splitlines()) + "]"
    ),
    "TeamCity": whole(lambda text: f"##teamcity[message text='{piped(text)}' status='NORMAL']\n"),
    "TeamCity's lines": each(lambda line: f"##teamcity[message text='{piped(line)}']"),
}
LETTERS: Final[dict[str, Wrap]] = {
    "entities of HTML": whole(
        lambda text: f"<pre>{html.escape(text).replace('(', '&#40;').replace('/', '&#x2F;')}</pre>"
    ),
    "named entities": whole(lambda text: text.replace("\t", "&Tab;").replace("(", "&lpar;").replace(":", "&colon;")),
    "an attribute of XML": whole(
        lambda text: f'<failure message="{text}"/>'.replace("\n", "&#xA;").replace("\t", "&#9;")
    ),
    "places where HTML may break": whole(lambda text: f"<pre>{text.replace('/', '/<wbr>')}</pre>"),
    "links of Markdown": each(lambda line: re.sub(r"(github\.com/[\w./-]+)", r"[\1](http://\1)", line)),
    "narrow blanks": whole(lambda text: text.replace(" ", "\u202f").replace("\t", "\u2003")),
    "smart quotes": each(lambda line: f"\u201c{line}\u201d"),
    "smart single quotes": each(lambda line: f"\u2018{line}\u2019,"),
    "guillemets": each(lambda line: f"\u00ab{line}\u00bb"),
    "Windows-1252": lambda text: text.decode().replace("\t", "\u00a0").replace("...", "\u2026").encode("cp1252"),
    "soft hyphens": whole(lambda text: text.replace("/", "/\u00ad")),
    "marks of direction": each(lambda line: f"\u200e{line}\u200e"),
    "signs for ends and tabs": each(lambda line: f"{line}\u00b6".replace("\t", "\u2192")),
    "bat": each(lambda line: f"   7   \u2502 {line}"),
    "grep -A": each(
        lambda line: f"dump.txt{':' if 'goroutine' in line else '-'}12{':' if 'goroutine' in line else '-'}{line}"
    ),
    "grep -A without numbers": each(lambda line: f"logs/dump.txt-{line}"),
    "ripgrep": each(lambda line: f"12{':' if 'goroutine' in line else '-'}{line}"),
}
TORN: Final[dict[str, Wrap]] = {
    "a mail of 72 columns": torn(72, " "),
    "a quoted mail": torn(60, " ", "> "),
    "a terminal of 50 columns": torn(50, ""),
    "a terminal of 80 columns": torn(80, ""),
    "an editor's continuation": whole(lambda text: re.sub(r"(.{50})(?=.)", "\\1\\\\\n", text)),
    "sed -l": whole(lambda text: re.sub(r"(.{60})(?=.)", "\\1\\\\\n", text.replace("\t", "\\t").replace("\n", "$\n"))),
}
TURNED: Final[dict[str, Wrap]] = {
    "the newest first": whole(lambda text: "\n".join(reversed(text.splitlines()))),
    "the newest first, with times": lambda text: b"\n".join(reversed(after(DAY)(text).splitlines())),
    "Loki's, backwards": lambda text: json.dumps(
        [["17", line] for line in reversed(text.decode().splitlines())]
    ).encode(),
}
ENCODED: Final[dict[str, Wrap]] = {
    "quoted-printable": lambda text: b"Content-Transfer-Encoding: quoted-printable\n\n" + quopri.encodestring(text),
    "an attachment": lambda text: b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(text),
    "base64 alone": base64.b64encode,
    "a word processor's": whole(in_rtf),
    "an address": whole(lambda text: "https://example.org/?text=" + urllib.parse.quote(text)),
    "a form": whole(lambda text: urllib.parse.urlencode({"text": text})),
    "in UTF-16, torn": lambda text: torn(80, "")(text).decode().encode("utf-16"),
}


@pytest.mark.parametrize(
    "wrap", [*COLUMNS.values(), *LITERALS.values(), *LETTERS.values()], ids=[*COLUMNS, *LITERALS, *LETTERS]
)
def test_what_stands_around_a_line(wrap: Wrap) -> None:
    """Columns, quotes and letters around a line, before and behind it, change nothing of what is read."""
    assert same(read(wrap(TEXT)))


@pytest.mark.parametrize("wrap", [*TORN.values(), *TURNED.values(), *ENCODED.values()], ids=[*TORN, *TURNED, *ENCODED])
def test_what_became_of_the_text(wrap: Wrap) -> None:
    """A text that was torn, turned round or encoded is read as what it was."""
    assert same(read(wrap(TEXT)))


@pytest.mark.parametrize("name", WRAPS)
def test_what_reads_well_is_left_alone(name: str) -> None:
    """Wraps that the lines' reader knows are read by it, and so at its speed."""
    found = read(WRAPS[name](TEXT))
    assert [one.frames for one in found] == [one.frames for one in goroutines(lines_of(io.BytesIO(TEXT)))]


def test_no_dump() -> None:
    """What has no goroutine in it stays as it is."""
    assert way_of(io.BytesIO(b"nothing\n" * 1000)) is lines_of
    assert way_of(io.BytesIO(b"")) is lines_of


def same(found: list[Goroutine]) -> bool:
    """Whether goroutines are those of the text, in any order: ids, states, times, calls with their places, makers."""

    def told(each: Goroutine) -> object:
        return each.id, each.state, each.minutes, each.locked, each.frames, each.creator, each.parent

    return sorted(map(told, found), key=repr) == sorted(map(told, goroutines(lines_of(io.BytesIO(TEXT)))), key=repr)
