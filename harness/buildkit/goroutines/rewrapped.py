r"""How a text is to be read whose lines are not a dump's any more: encoded, torn, turned round, or with columns behind.

`lines` and `parse` know what stands before a line. What stands behind it, or in the middle of it, cannot be told from
the dump line by line; so a sample of the text is read in each of these ways, and the one by which most calls have their
places is taken for the whole. A text that reads well as it stands is not looked at any further.
"""

import binascii
import quopri
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from io import BytesIO
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Final

from harness.buildkit.goroutines.files import Text, texts_of, unpacked
from harness.buildkit.goroutines.lines import decoded, lines_of
from harness.buildkit.goroutines.parse import PADDING, counted, goroutines, whole_lines

Way = Callable[[Text], Iterator[bytes]]
"""Yields the lines of a text, as `parse` takes them."""

_SAMPLE: Final = 65_536
"""Bytes by which the way is chosen."""
_BEFORE_SAMPLE: Final = 2_048
_TEXTS: Final = 32
"""Texts of one file by which its way is chosen: an archive can have a thousand."""
_SOUGHT: Final = 67_108_864
"""Bytes of a text in which its first goroutine is looked for."""
_WORD: Final = b"goroutine"
_PLACED: Final = re.compile(rb"\.(?:go|s):\d+(?=\s*(?:\n|\Z|\+0x|[\\\"'<|]))")
"""A place as a dump has it, at the end of what is said; that of a log's caller stands before it."""
_WELL: Final = 0.97
"""Share of the places in a text that reads well which calls have: a log has others, and what is cut off lacks a few."""

_OFFSET: Final = re.compile(rb"\.(?:go|s):\d+ \+0x[0-9a-f]")
"""A place that only a dump has: logs name their callers without an offset."""
_ENOUGH: Final = 2 / 3
"""Share of these that must be read: where calls are cut off or mixed, what is left of a stack says nothing."""

_CORE: Final = re.compile(
    rb"(?<![\w.])(?:panic|fatal error): [^\"]{1,400}"
    rb"|#\s+0x[0-9a-f]{1,16}\s+[^\s\"]{1,400}\+0x[0-9a-f]{1,8}\s+[^\s\"]{1,400}:\d{1,9}"
    rb"|(?<!\d)\d{1,19} @(?: 0x[0-9a-f]{1,16}){1,100}"
    rb"|goroutine \d{1,19} (?:[^\[\n]{1,100} )?\[[^\]\n]{1,200}\]:"
    rb"|created by [^\s\"'|]{1,400}(?: in goroutine \d{1,19})?"
    rb"|\.\.\.(?:additional|\d+) frames elided\.\.\."
    rb"|(?<![\w./~%-])[\w./~%-]++(?:(?:(?<=\.)\(\*?[^()\s]{1,200}\)(?=\.)|\[\.\.\.\])[\w.-]{0,200}+){0,6}+"
    rb"\([0-9a-fx{}, _.?]{0,500}\)"
    rb"|(?<![\w./~%@+-])(?:[A-Z]:)?[\w./\\~%@+-]{1,400}\.(?:go|s|c|h):\d{1,9}(?!\d)(?: \+0x[0-9a-f]{1,8})?"
)
"""What a dump has in its lines, whatever stands around it."""
_CALLER: Final = re.compile(rb"[^\s(]+\.go:\d+")
"""The place in the code that has logged a line, before what it says."""
_CONTINUED: Final = re.compile(rb"\\\r?\n[ \t]*")
"""Where YAML, `sed -n l` and editors go on in the next line."""
_SOFT: Final = re.compile(rb"=(?:09|20|3D|\r?\n)")
_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{40,}\r?\n?)++(?:[A-Za-z0-9+/]{0,39}={0,2}(?=[\s\"']|\Z))?")
_NUMBERS: Final = re.compile(rb"\[((?:\s*\d{1,3},){4,}\s*\d{1,3})\s*\]")
_RTF: Final = re.compile(
    rb"\\(?:par|line)\b ?\r?\n?|\\(tab)\b ?|\\([{}\\])|\\'([0-9a-f]{2})|\\[a-z]{1,32}-?\d{0,10} ?|[{}]"
)
_ESCAPED: Final = re.compile(rb"%0[aA]")

_REST_OF_PLACE: Final = re.compile(rb"[\w.@%+~-][\w./@%+~-]{0,400}\.(?:go|s):\d{1,9} \+0x[0-9a-f]{1,8}$")
_QUOTES: Final = re.compile(rb"^(?:> ?)+")
_PIECES: Final = 8
"""Lines that one line was torn into, at most."""
_AT_ONCE: Final = 1_024
"""Lines that are put together again at once."""


def way_of_file(path: Path) -> Way:
    """Return how the texts of a file are to be read: as the most of those that do not read well as they stand.

    Raises:
        OSError: the file cannot be read.
    """
    return reading_of(path)[0]


def reading_of(path: Path) -> tuple[Way, bool]:
    """Return how the texts of a file are to be read, and whether most of their calls can be.

    Raises:
        OSError: the file cannot be read.
    """
    with texts_of(path) as texts:
        found = [_best(sample) for sample in map(_sample, islice(texts, _TEXTS))]
    ways = Counter(way for way, _, _ in found)
    placed, seen = sum(each[1] for each in found), sum(each[2] for each in found)
    way = max(ways, key=lambda way: (way is not lines_of, ways[way]), default=lines_of)
    return way, placed >= _ENOUGH * seen


def way_of(text: Text) -> Way:
    """Return the way in which most of a text can be read."""
    return _best(_sample(text))[0]


def _best(sample: bytes) -> tuple[Way, int, int]:
    """Return the way in which most of a sample can be read, how many places are read so, and how many are seen."""
    best: Way = lines_of
    most = _placed(best, sample)
    offsets = len(_OFFSET.findall(sample))
    seen = max(len(_PLACED.findall(sample)), most + _cut_off(best(BytesIO(sample))))
    if most and most >= _WELL * seen:
        return best, most, offsets
    for way in _WAYS if _WORD in sample else _HIDDEN:
        placed = _placed(way, sample)
        if placed > most:
            best, most = way, placed
    return best, most, max(offsets, most + _cut_off(best(BytesIO(sample))))


def _sample(text: Text) -> bytes:
    """Return a text from a little before its first goroutine on; its beginning where it has none."""
    first = rest = b""
    sought = 0
    blocks = decoded(text)
    for block in blocks:
        first = first or block[:_SAMPLE]
        whole = rest + block
        at = whole.find(_WORD)
        if at >= 0:
            at = max(0, at - _BEFORE_SAMPLE)
            while len(whole) - at < _SAMPLE and (more := next(blocks, b"")):
                whole += more
            return whole[at : at + _SAMPLE]
        rest = block[-_BEFORE_SAMPLE:]
        sought += len(block)
        if sought > _SOUGHT:
            break
    return first


def _placed(way: Way, sample: bytes) -> int:
    """Return how many calls of a sample, and makers of goroutines, have a place when it is read in a way."""
    lines = [*way(BytesIO(sample))]
    stacks = sum(
        sum(bool(frame.file) for frame in each.frames) + bool(each.creator and each.creator.file)
        for each in goroutines(lines)
    )
    return stacks or sum(bool(frame.file) for each in counted(lines) for frame in each.frames)


def _cut_off(text: Iterable[bytes]) -> int:
    """Return how many lines have lost their ends, as a screen cuts them that does not wrap: all of one length."""
    lines = [line.rstrip(PADDING) for line in text]
    longest = max(map(len, lines), default=0)
    is_whole = whole_lines()
    lost = sum(len(line) == longest and not is_whole(line) for line in lines)
    return lost if lost > 1 else 0


def _cores(text: Text) -> Iterator[bytes]:
    """Yield what a dump has of each line, without what stands around it; a line as it is that has nothing of one."""
    return (core.lstrip(b"*") for line in lines_of(text) for core in _cores_of(line) or (line,))


def _cores_of(line: bytes) -> list[bytes]:
    found = _CORE.findall(line)
    return found[1:] if len(found) > 1 and _CALLER.fullmatch(found[0]) else found


def _backwards(text: Text) -> Iterator[bytes]:
    """Yield the lines of a text from its end: the newest first is how services of logs show it."""
    return reversed([*lines_of(text)])


def _turned(encode: Callable[[bytes], bytes]) -> Way:
    """Return the way of a text that is the encoded form of one."""
    return lambda text: lines_of(BytesIO(encode(b"".join(decoded(text)))))


def _from_base64(text: bytes) -> bytes:
    """Return what the parts of a text say that are in base64, as an attachment is, packed or not."""

    def plain(match: re.Match[bytes]) -> bytes:
        letters = b"".join(match[0].split())
        try:
            return unpacked(binascii.a2b_base64(letters[: len(letters) // 4 * 4]))
        except binascii.Error:
            return match[0]

    return _BASE64.sub(plain, text)


def _from_quoted(text: bytes) -> bytes:
    return quopri.decodestring(text) if _SOFT.search(text) else b""


def _from_url(text: bytes) -> bytes:
    if not _ESCAPED.search(text):
        return b""
    return urllib.parse.unquote_to_bytes(text if b" " in text.strip() else text.replace(b"+", b" "))


def _from_numbers(text: bytes) -> bytes:
    """Return what the lists of bytes in a text say, by which journald gives what has letters of a terminal in it."""
    return _NUMBERS.sub(lambda match: bytes(int(each) % 256 for each in match[1].split(b",")) + b"\n", text)


def _from_rtf(text: bytes) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        if match[0].startswith((b"\\par", b"\\line")) and match[0][4:5] != b"d":
            return b"\n"
        return b"\t" if match[1] else match[2] or (bytes.fromhex(match[3].decode()) if match[3] else b"")

    return _RTF.sub(plain, text) if b"\\par" in text else b""


def _rejoined(between: tuple[bytes, ...], *, hangs: bool = False) -> Way:
    """Return the way of a text whose long lines were torn, by a mail's width or a terminal's.

    Args:
        between: what may have stood where one was torn, the likeliest first.
        hangs: whether what one was torn into is indented.
    """

    def lines(text: Text) -> Iterator[bytes]:
        is_whole = whole_lines()
        source = map(_unquoted, chain(lines_of(text), (b"",) * _PIECES))
        ahead: list[bytes] = []
        while more := [*islice(source, _AT_ONCE)]:
            ahead += more
            at = 0
            while at + _PIECES < len(ahead):
                if _follows(ahead[at], is_whole, ahead[at + 1]):
                    joined, used = _joined(ahead[at : at + _PIECES + 1], between, is_whole, hangs=hangs)
                    yield joined
                    at += used
                else:
                    yield ahead[at]
                    at += 1
            del ahead[:at]

    return lines


def _unquoted(line: bytes) -> bytes:
    """Return a line without its end, and without the quotes of a mail."""
    line = line.rstrip(b"\r\n")
    return _QUOTES.sub(b"", line) if line.startswith(b">") else line


def _joined(
    ahead: list[bytes], between: Iterable[bytes], is_whole: Callable[[bytes], bool], *, hangs: bool
) -> tuple[bytes, int]:
    """Return the first line, with those that it was torn from, and how many these are."""
    first = ahead[0]
    for gap in between:
        line = first.rstrip() if gap else first
        for used, piece in enumerate(takewhile(partial(_follows, first, is_whole), ahead[1:]), 2):
            needs = gap or (b" " if line.endswith(b",") and (hangs or not piece.startswith(b" ")) else b"")
            line += needs + (piece.strip() if gap or hangs else piece)
            if is_whole(line.strip()):
                return line, used
    return first, 1


def _follows(first: bytes, is_whole: Callable[[bytes], bool], piece: bytes) -> bool:
    """Whether a line may be a piece that the first was torn from: one of the two says nothing when it stands alone."""
    first, stripped = first.strip(), piece.strip()
    if not first or not stripped:
        return False
    if is_whole(first):
        return not is_whole(stripped) and (_is_part(piece) or _goes_on(first, piece))
    return not is_whole(stripped) or _is_part(piece) or _goes_on(first, piece)


def _goes_on(first: bytes, piece: bytes) -> bool:
    """Whether a line may be the end of an entry of the counted form, which has its place in the same line."""
    return first.startswith(b"#") and not piece.startswith(b"#")


@lru_cache(maxsize=_PIECES * 2)
def _is_part(piece: bytes) -> bool:
    """Whether a line that could stand alone may be the end of another: it has no name of a package's, and no path.

    Or it has the end of one: paths begin with the root.
    """
    if _REST_OF_PLACE.match(piece.strip()):
        return True
    return not piece.startswith((b"\t", b"goroutine ", b"created by ")) and b"/" not in piece.partition(b"(")[0]


_HIDDEN: Final[tuple[Way, ...]] = (_turned(_from_base64), _turned(_from_numbers))
"""Ways of a text in which no goroutine can be seen."""
_WAYS: Final[tuple[Way, ...]] = (
    _cores,
    _backwards,
    _turned(_from_quoted),
    _turned(_from_rtf),
    _turned(_from_url),
    *_HIDDEN,
    _turned(lambda text: _CONTINUED.sub(b"", text)),
    _rejoined((b" ", b"")),
    _rejoined((b"", b" ")),
    _rejoined((b"",), hangs=True),
)
"""Ways beside that as it stands."""
