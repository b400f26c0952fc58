r"""The lines of a text in any of the wraps in which people send it: an encoding, a terminal's colours, HTML, JSON, CSV.

What cannot stand in a dump costs nothing where there is none of it: a block is searched for it at once, and a line is
taken apart only where it has a quote or a backslash. Prefixes of a log stay: `parse` knows a line by how it ends.
"""

import codecs
import html
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from harness.buildkit.goroutines.files import Text

_LONGEST: Final = 65_536
"""Bytes of a line that are read at once: a file that is no dump may have no line ends at all."""
_BLOCK: Final = 1_048_576
"""Bytes that are read at once."""
_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""By their marks; that of UTF-32 begins as that of UTF-16 does."""
_SAMPLE: Final = 512

_SEQUENCE: Final = rb"(?:\[[0-?]{0,20}[@-~]|[\]_P][^\x07\x1b]{0,500}(?:\x07|\x1b\\\\?))"
_TERMINAL: Final = re.compile(
    b"|".join(escape + _SEQUENCE for escape in (rb"\x1b", rb"\^\[", rb"#033", rb"\\\\{0,3}(?:x1b|u001b|033)"))
    + rb"|\[[0-9;]{1,12}m|\[0K|ESC\[[0-9;]{0,12}[mK]"
)
"""Colours, and what erases a line, also where the escape before it was lost, or is written out as `less` does.

Each of these begins with a letter of its own, by which `re` passes over what cannot be one.
"""
_BREAKS: Final = re.compile(
    rb"</?(?:br|p|div|li|tr|td|pre|blockquote|details|summary|w:p|w:br)\b[^<>]{0,300}>", re.IGNORECASE
)
_TAGS: Final = re.compile(
    rb"</?(?:code|span|b|i|em|strong|font|a|html|body|table|tbody|wbr|mark|tt|[a-z]{1,4}:\w{1,20})\b[^<>]{0,300}>",
    re.IGNORECASE,
)
"""With those of office documents, whose names have two parts."""
_ENTITIES: Final = {b"&lt;": b"<", b"&gt;": b">", b"&quot;": b'"', b"&#34;": b'"', b"&#39;": b"'", b"&nbsp;": b" "}
"""Those that come on each line of a page, and are better replaced all at once; an ampersand's comes last of all."""
_ENTITY: Final = re.compile(rb"&(?!amp;)(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,10});")
_LINK: Final = re.compile(rb"\[([^\[\]\s]{1,300})\]\(https?://[^()\s]{1,400}\)")
"""One of Markdown's, which some put where they see an address."""
_CHAT_LINK: Final = re.compile(rb"<https?://[^|<>\s]{1,400}\|([^|<>\s]{1,400})>")
"""One of Slack's, which puts it there as well."""
_SIZED: Final = re.compile(rb"(?<=\nMESSAGE\n)[\s\S]{8}")
"""What journald exports before an entry of several lines: its size."""
_STREAMED: Final = re.compile(rb"[\0-\2]\0{5}[\s\S]{2}")
"""What Docker's API puts before each piece of what a container prints."""
_HTML: Final = re.compile(rb"</|<(?:br|wbr|pre|code|div|span|p|td|li)\b")
_ARROW: Final = re.compile(rb">-{1,7}(?=[/\w<])")
"""A tab as editors show it that were asked to."""
_PIPED: Final = {b"|n": b"\n", b"|r": b"", b"|'": b"'", b"|[": b"[", b"|]": b"]", b"||": b"|"}
"""What TeamCity escapes."""
_PIPES: Final = re.compile(rb"\|[nr'\[\]|]")
_LIGATURES: Final = (b"ff", b"fi", b"fl", b"ffi", b"ffl")
_OTHERS: Final[Mapping[bytes, bytes]] = {
    **{letter.encode(): b"" for letter in "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u202a\u202c\ufeff\u00b6\u21b5"},
    **{letter.encode(): b" " for letter in "\u00a0\u2002\u2003\u2007\u2008\u2009\u202f\u00b7"},
    **{letter.encode(): b'"' for letter in "\u201c\u201d\u201e\u00ab\u00bb"},
    **{letter.encode(): b"'" for letter in "\u2018\u2019"},
    **{letter.encode(): b"|" for letter in "\u2502\u2503\u2551"},
    **{letter.encode(): b"\n" for letter in "\u2028\u2029"},
    "\u2026".encode(): b"...",
    "\u2192".encode(): b"\t",
    **{letter.encode(): name for letter, name in zip("\ufb00\ufb01\ufb02\ufb03\ufb04", _LIGATURES, strict=True)},
}
"""What editors, browsers, word processors and printers put in place of letters, blanks, quotes and bars, or add."""
_OTHER: Final = re.compile(
    b"|".join(
        first + b"(?:" + b"|".join(re.escape(letter[1:]) for letter in letters) + b")"
        for first, letters in ((first, [*same]) for first, same in groupby(sorted(_OTHERS), key=lambda each: each[:1]))
    )
)
"""By their first bytes, of which there are few: so what cannot begin one is passed over quickly."""
_OFTEN: Final = {
    "\u00c2\u00a0".encode(): b" ",
    "\u00a0".encode(): b" ",
    "\u2502".encode(): b"|",
    "\u200b".encode(): b"",
    "\u2026".encode(): b"...",
}
"""Those of them that come on each line of a text, and are better replaced all at once."""
_OF_WINDOWS: Final = {b"\xa0": b" ", b"\x85": b"...", b"\x93": b'"', b"\x94": b'"', b"\x91": b"'", b"\x92": b"'"}
"""The same in Windows-1252, where no letter of UTF-8 is around them."""
_WINDOWS: Final = re.compile(rb"(?<![\x80-\xff])[\xa0\x85\x91-\x94]+(?![\x80-\xff])")

_LINE_END: Final = re.compile(rb"\\(?<!\\\\)\\{0,7}(?:r\\{1,8})?n")
"""This and others begin with a letter, by which they are found soon; what must not stand before it comes behind it."""
_DRIVE: Final = re.compile(rb":(?<=[A-Za-z]:)(?<!\w[A-Za-z]:)\\\w")
"""A path of Windows: a backslash in such a line is no escape."""
_ENDS: Final = (b"\\n", b"\\u000a", b"\\u000A")
_TAB: Final = re.compile(rb"\\(?<!\\\\)\\{0,7}(?:t|u0009)")
_ESCAPED: Final = re.compile(rb"\\(?<!\\\\)\\{0,7}(?=[\"/*_\[\](){}.<>#+-])")
"""What JSON or Markdown escapes."""
_NUMBERED: Final = {
    b"\\u003c": b"<",
    b"\\u003e": b">",
    b"\\u0026": b"&",
    b"\\u000a": b"\n",
    b"\\u000A": b"\n",
    b"\\u000d": b"",
    b"\\u000D": b"",
}
"""What JSON may write by its number."""
_OF_DUMP: Final = re.compile(
    rb"\)$|goroutine .|created by |\.(?:go|[sch]):\d|elided\.\.\.$|panic: |fatal error: |SIGQUIT: |BEGIN g"
    rb"|0x[0-9a-f]{1,16}\t| @ 0x|Killed process"
)
"""What a line of a dump has."""
_BROKEN: Final = re.compile(rb"(\([0-9a-fx{}, _.?]{1,400})\n(?: {2,16}(?! ))?(?=[0-9a-fx{}, _.?]{0,400}\)\n)")
"""Where a terminal has broken the arguments of a call, with what the next row is indented by."""
_ARGUMENTS_ALONE: Final = re.compile(rb"\n(?: {2,16}(?! ))?[0-9a-fx{}, _.?]{0,400}\)\n")
"""A row that is the end of such a call: they are rare, and this is found at twice the speed."""
_LEAST: Final = 5
"""Bytes of the shortest line that says anything: ``a.b()``."""
_REMEMBERED: Final = 256
"""Bytes before a line's last quote that are worth remembering: a log has the same ones on each of its lines."""
_ENTRY_END: Final = re.compile(rb'\n"(?:, ?"stream": ?"std(?:err|out)", ?"time": ?"[^"\n]{0,40}")?\}(?=\n)')
"""How an entry of JSON ends behind an escaped end, with what Docker's `json-file` puts there."""
_BLANK: Final = re.compile(rb"\n(?:[^\n]{0,4}+\n)++")
_NOTHING_QUOTED: Final = re.compile(rb'"(?:[^"]{0,4}+")++')
_KEY: Final = re.compile(rb"(?:caller|file|source|func|logger)[\"']?\s*(?:=>?|:)\s*$")
"""What stands before a place in the code that is not the dump's."""
_KEY_LONGEST: Final = 40


def lines_of(stream: Text) -> Iterator[bytes]:
    """Yield the lines of a text with their ends, overlong ones in pieces, without what it is wrapped in."""
    rest = b""
    for text in _pieces(decoded(stream)):
        whole, end, begun = (rest + text).rpartition(b"\n")
        yield from _lines_in(whole + end)
        read = _end(begun) if begun else 0
        yield from _lines_in(begun[:read])
        rest = begun[read:]
    yield from _lines_in(rest)


def decoded(stream: Text) -> Iterator[bytes]:
    """Yield a text in blocks, as UTF-8."""
    start = stream.read(_BLOCK)
    blocks = iter(lambda: stream.read(_BLOCK), b"")
    encoding = next((name for mark, name in _ENCODINGS if start.startswith(mark)), "") or _unmarked(start[:_SAMPLE])
    if not encoding:
        yield start
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    yield decoder.decode(start).encode(errors="replace")
    for block in blocks:
        yield decoder.decode(block).encode(errors="replace")


def _unmarked(sample: bytes) -> str:
    """Return the encoding of a text of two bytes a letter that does not say so; empty of others."""
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample and sample[first::2].count(0) > 2 * sample[1 - first :: 2].count(0) + len(sample) // 4:
            return name
    return ""


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a text that comes in blocks in pieces that end with a line, but for lines that are too long for that."""
    rest = b""
    for block in blocks:
        # what Windows, old Macs, and terminals that write over a line, put at its end
        whole, end, begun = (rest + block.replace(b"\r", b"\n")).rpartition(b"\n")
        yield _clean(whole + end if len(begun) < _LONGEST else whole + end + begun)
        rest = begun if len(begun) < _LONGEST else b""
    yield _clean(rest)


def _clean(text: bytes) -> bytes:
    """Return a text without what terminals, browsers and editors put into it.

    One letter is found in no time; a word takes ten times as long, so it is looked for where its rarest letter is.
    """
    if b"\0" in text:
        text = _STREAMED.sub(b"", _SIZED.sub(b"", text))
    text = _short(text)
    if _ARGUMENTS_ALONE.search(text):
        text = _BROKEN.sub(lambda match: match[1] + b" " * (match[1][-1:] == b"," and match[0][-1:] == b" "), text)
    if not text.isascii():
        for old, new in _OFTEN.items():
            text = text.replace(old, new)
        text = _OTHER.sub(lambda match: _OTHERS[match[0]], text)
        if not _is_utf8(text):
            text = _WINDOWS.sub(lambda match: b"".join(_OF_WINDOWS[bytes([each])] for each in match[0]), text)
    if b"#" in text:
        text = text.replace(b"#011", b"\t")  # rsyslog's
    if b"^" in text:
        text = text.replace(b"^I", b"\t").replace(b"^M", b"")  # of `cat -A`
    if b"[0" in text or b"\x1b" in text or (b"\\" in text and (b"x1b[" in text or b"u001b[" in text)):
        text = _TERMINAL.sub(b"", text)
    return _without_markup(text)


def _without_markup(text: bytes) -> bytes:
    """Return a text without what HTML, Markdown, chats, Packer and TeamCity make of it."""
    if b">" in text:
        text = _ARROW.sub(b"\t", text)
    if b"<" in text:
        text = _CHAT_LINK.sub(rb"\1", text)
        if _HTML.search(text):
            text = _TAGS.sub(b"", _BREAKS.sub(b"\n", text.replace(b"<w:tab/>", b"\t")))
    if b"&" in text:
        for entity, letter in _ENTITIES.items():
            text = text.replace(entity, letter)
        text = _ENTITY.sub(lambda match: _letter(match[0]), text).replace(b"&amp;", b"&")
    if b"](http" in text:
        text = _LINK.sub(rb"\1", text)
    if b"%" in text:
        text = text.replace(b"%!(PACKER_COMMA)", b",")
    if b"#" in text and b"##teamcity[" in text:
        text = _PIPES.sub(lambda match: _PIPED[match[0]], text)
    return text


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(maxsize=65_536)
def _letter(entity: bytes) -> bytes:
    """Return what an entity of HTML or XML stands for, once more where its own letters were escaped."""
    return html.unescape(entity.decode()).replace("\u00a0", " ").encode(errors="replace")


def _short(text: bytes) -> bytes:
    """Return a text without lines that are too short to say anything, where it has many of them."""
    return _BLANK.sub(b"\n", text) if text.count(b"\n") * 2 * _LEAST > len(text) else text


def _end(text: bytes) -> int:
    """Return how far a piece of a long line can be read: up to its last escaped line end, or the end of an entry."""
    found = max(
        *(len(text.rpartition(end)[0].rstrip(b"\\")) for end in _ENDS), text.rfind(b'",') + 1, text.rfind(b'"]') + 1
    )
    return found if found > 0 or len(text) < 2 * _LONGEST else len(text)


def _lines_in(text: bytes) -> Iterator[bytes]:
    """Yield the lines of a log: those that are escaped in it, too, and of each what it has in quotes."""
    if b":\\" in text and _DRIVE.search(text):
        lines = io.BytesIO(text)
        text = b"".join(line if b":\\" in line and _DRIVE.search(line) else _unescaped(line) for line in lines)
    elif b"\\" in text:
        text = _unescaped(text)
    if b'"' not in text:
        yield from io.BytesIO(text)
        return
    for line in io.BytesIO(_ENTRY_END.sub(b"", text)):
        if b'"' in line:
            yield from _quoted(line)
        else:
            yield line


def _unescaped(text: bytes) -> bytes:
    """Return a text with its escaped ends and tabs as they were, and without what else JSON or Markdown escapes."""
    if b"\\" not in text:
        return text
    if b"\\u00" in text:
        for old, new in _NUMBERED.items():
            text = text.replace(old, new)
    if b"\\\\" in text:
        text = _TAB.sub(b"\t", _LINE_END.sub(b"\n", text))
    else:  # the same, at several times the speed
        text = text.replace(b"\\r\\n", b"\n").replace(b"\\n", b"\n").replace(b"\\t", b"\t").replace(b"\\u0009", b"\t")
    return _short(_ESCAPED.sub(b"", text) if b"\\" in text else text)


def _quoted(line: bytes) -> Sequence[bytes]:
    """Return what of a line with quotes is of a dump; all of it where nothing is."""
    if len(line) < _LEAST or (b"goroutine " in line and line.rstrip().endswith(b":")):
        return (line,)  # a head may have labels, which are quoted
    if line.count(b'"') * 3 > len(line):
        line = _NOTHING_QUOTED.sub(b'"', line)
    before, _, last = line.rpartition(b'"')
    found, is_caller = (_before if len(before) < _REMEMBERED else _before.__wrapped__)(before)
    if len(last) >= _LEAST and not is_caller and _OF_DUMP.search(last.rstrip()):
        return (*found, last)
    return found or (line,)


@lru_cache(maxsize=4_096)
def _before(text: bytes) -> tuple[Sequence[bytes], bool]:
    """Return what of a text before a last quote is of a dump, and whether the place of a log's caller is to follow."""
    parts = text.split(b'"')
    found = [
        part
        for number, part in enumerate(parts)
        if len(part) >= _LEAST and _OF_DUMP.search(part.rstrip()) and not _is_caller(parts, number)
    ]
    return found, _is_caller([*parts, b""], len(parts))


def _is_caller(parts: Sequence[bytes], number: int) -> bool:
    """Whether a part of a line is the place in the code that has logged it."""
    return number > 0 and bool(_KEY.search((b'"'.join(parts[max(0, number - 2) : number]))[-_KEY_LONGEST:]))
