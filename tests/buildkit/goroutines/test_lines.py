"""Dumps in every wrap in which people send them: whatever a log, an editor or a browser made of one, it is read."""

import codecs
import io
import json
import re
from collections.abc import Callable
from typing import Final

import pytest

from harness.buildkit.goroutines.lines import lines_of
from harness.buildkit.goroutines.model import Goroutine
from harness.buildkit.goroutines.parse import counted, goroutines
from harness.buildkit.goroutines.rewrapped import way_of
from tests.support.growth import LINEAR, growth

ONE: Final = b"""\
goroutine 7 [select, 5 minutes, locked to thread]:
github.com/moby/buildkit/solver.(*scheduler).loop(0xc000273110, {0x1, 0x2}, ...)
	/src/solver/scheduler.go:92 +0x1e5
main.main()
	/src/main.go:3
created by github.com/moby/buildkit/solver.newScheduler in goroutine 1
	/src/solver/scheduler.go:26 +0x20d

"""
TEXT: Final = ONE + ONE.replace(b"goroutine 7", b"goroutine 8")
DAY: Final = b"2026-08-01T10:00:00.123456789Z "
Wrap = Callable[[bytes], bytes]


def read(text: bytes) -> list[Goroutine]:
    """Return the goroutines in a text as it comes."""
    return [*goroutines(lines_of(io.BytesIO(text)))]


def each(wrap: Callable[[str], str]) -> Wrap:
    """Return what writes every line anew."""
    return lambda text: "".join(f"{wrap(line)}\n" for line in text.decode().splitlines()).encode()


def after(prefix: bytes) -> Wrap:
    """Return what puts a log's prefix before each line."""
    return lambda text: b"".join(prefix + line for line in text.splitlines(keepends=True))


def entries(text: bytes) -> list[dict[str, object]]:
    """Return a text as the entries that a log's service exports."""
    return [{"timestamp": 17, "message": line, "host": "a"} for line in text.decode().splitlines()]


PREFIXES: Final = {
    "journalctl": b"Sep 09 14:03:10 ci-1 buildkitd[17]: ",
    "journalctl -o short-iso": b"2026-08-01T10:00:00+0000 ci-1 buildkitd[17]: ",
    "syslog with its priority": b"<30>1 2026-08-01T10:00:00Z ci-1 buildkitd 17 - - ",
    "docker logs -t": DAY,
    "kubectl --prefix": b"[pod/buildkitd-0/buildkitd] ",
    "stern": b"\x1b[32mbuildkitd-0\x1b[0m \x1b[35mbuildkitd\x1b[0m ",
    "CRI": DAY + b"stderr F ",
    "compose": b"buildkitd-1  | ",
    "compose with colours": b"\x1b[36mbuildkitd-1  | \x1b[0m",
    "compose whose colours lost their escape": b"[36mbuildkitd-1  |[0m ",
    "logcli": DAY + b'{app="buildkitd", pod="b-0"} ',
    "actions": b"2025-09-09T14:03:10.0497770Z         ",
    "gh run view": b"build\tRun tests\t2025-09-09T14:03:10.0497770Z ",
    "azure": b"2026-08-01T10:00:00.1234567Z ##[error]",
    "gitlab": b"2026-08-01T10:00:00.123456Z 00O+",
    "gitlab's sections": b"section_start:1754042400:step_script\r\x1b[0K",
    "buildkite": b"\x1b_bk;t=1754042400000\x07",
    "jenkins": b"[2025-09-09T14:03:10.049Z] ",
    "cloudwatch": b"2026-08-01T10:00:00.123000+00:00 ecs/buildkitd/0123abcd ",
    "cloudwatch's milliseconds": b"1754042400000\t",
    "grep -n": b"dump.txt:12:",
    "cat -n": b"    12\t",
    "diff": b"+",
    "quoted twice": b"> > ",
    "journalctl -o verbose": b"    MESSAGE=",
}
WRAPS: Final[dict[str, Wrap]] = {
    "spaces for tabs": lambda text: text.replace(b"\t", b"        "),
    "no indentation": lambda text: text.replace(b"\t", b""),
    "blank lines between": lambda text: text.replace(b"\n", b"\n\n"),
    "blanks that do not break": lambda text: text.replace(b"\t", "\u00a0\u00a0".encode()),
    "rsyslog": lambda text: after(b"Sep  9 14:03:10 ci-1 buildkitd[17]: ")(text).replace(b"\t", b"#011"),
    "gitlab's ends": lambda text: text.replace(b"\n", b"\x1b[0;m\r\n"),
    "cat -A": lambda text: text.replace(b"\t", b"^I").replace(b"\n", b"$\n"),
    "code": lambda text: b"<details><summary>dump</summary>\n\n```\n" + text + b"```\n</details>\n",
    "code in a quote": lambda text: b"> ```\n" + after(b"> ")(text) + b"> ```\n",
    "a table of Markdown": each(lambda line: f"| `{line}` |"),
    "Markdown's escapes": lambda text: re.sub(rb"([*_\[\]])", rb"\\\1", text),
    "Markdown's emphasis": lambda text: text.replace(b"(*", b"("),
    "three dots as one letter": lambda text: text.replace(b"...", "\u2026".encode()),
    "HTML": lambda text: b"<pre><code>" + text.replace(b"\n", b"<br/>\n").replace(b"\t", b"&nbsp;") + b"</code></pre>",
    "broken by a terminal": lambda text: text.replace(b"(0xc000273110, {0x", b"(0xc000273110, {0x\n"),
    "padded": lambda text: text.replace(b"\n", b"        \n"),
    "windows": lambda text: text.replace(b"\n", b"\r\n"),
    "an old mac": lambda text: text.replace(b"\n", b"\r"),
    "byte order mark": lambda text: codecs.BOM_UTF8 + text,
    "utf-16": lambda text: text.decode().encode("utf-16"),
    "utf-16 without its mark": lambda text: text.decode().encode("utf-16-le"),
    "utf-32": lambda text: text.decode().encode("utf-32"),
    "logrus": lambda text: b'level=info msg="' + text.replace(b"\n", b"\\n").replace(b"\t", b"\\t") + b'" a=b\n',
    "json in json": lambda text: b'{"log":"' + text.replace(b"\n", b"\\\\n").replace(b"\t", b"\\\\t") + b'"}\n',
    "docker's json": each(lambda line: json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "2026"})),
    "journalctl -o json": each(lambda line: json.dumps({"_PID": "17", "MESSAGE": line, "PRIORITY": "6"})),
    "loki's answer": lambda text: json.dumps(
        {"values": [["17", line] for line in text.decode().splitlines()]}
    ).encode(),
    "a service's export": lambda text: json.dumps(entries(text)).encode(),
    "a service's export, indented": lambda text: json.dumps(entries(text), indent=2).encode(),
    "fluentd": each(lambda line: "2026-08-01\tdocker.b\t" + json.dumps({"id": "ab", "log": line, "source": "stderr"})),
    "fluent bit": each(lambda line: '[0] a: [1.5, {"log"=>"' + line.replace("\t", "\\t") + '", "stream"=>"stderr"}]'),
    "zap, which names its caller": each(lambda line: json.dumps({"caller": "solver/x.go:92", "msg": line, "ts": 1.5})),
    "CSV": each(lambda line: f'1754042400000,"{line}",buildkitd' if "," in line else f"1754042400000,{line}"),
    "grafana's CSV": each(lambda line: f'"2026-08-01 10:00","{line}","{{""app"":""x""}}"'),
    "YAML": each(lambda line: f"- id: x\n  textPayload: {json.dumps(line)}\n  at: 5"),
    "vendored": lambda text: text.replace(b"github.com/moby/", b"github.com/docker/docker/vendor/github.com/moby/"),
    "dagger's": lambda text: text.replace(b"github.com/moby/buildkit/", b"github.com/dagger/dagger/internal/buildkit/"),
    "a company's": lambda text: text.replace(b"github.com/moby/buildkit/", b"gitlab.example.com/a/b/moby-buildkit/v2/"),
    **{name: after(prefix) for name, prefix in PREFIXES.items()},
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_dumps_as_people_post_them(wrap: Wrap) -> None:
    """What a log, a browser, or an editor made of a dump changes nothing of what is read, but who printed it."""
    found = read(wrap(TEXT))
    assert [(one.id, one.state, one.minutes, one.locked, one.frames) for one in found] == [
        (one.id, one.state, one.minutes, one.locked, one.frames) for one in read(TEXT)
    ]
    assert [(one.creator, one.parent) for one in found] == [(one.creator, one.parent) for one in read(TEXT)]


@pytest.mark.parametrize("cut", [(45, 20), (100, 60), (150, 1)])
@pytest.mark.parametrize("name", ["CRI", "journalctl -o json", "gitlab's ends", "utf-16 without its mark"])
def test_cut_off_at_both_ends(name: str, cut: tuple[int, int]) -> None:
    """Of a dump that begins and ends anywhere, what is between is whole."""
    wrapped = WRAPS[name](ONE + ONE.replace(b"goroutine 7", b"goroutine 9") + ONE)
    found = read(wrapped[cut[0] * 2 : -cut[1] * 2])
    assert next(one for one in found if one.id == 9).frames == read(ONE)[0].frames


@pytest.mark.parametrize(
    ("prefix", "source"),
    [
        (b"buildkitd-1  | ", "buildkitd-1"),
        (b"buildkitd-1  | " + DAY, "buildkitd-1"),
        (b"[pod/buildkitd-0/buildkitd] ", "buildkitd-0/buildkitd"),
        (b"Sep 09 14:03:10 ci-1 dockerd[17]: ", "dockerd[17]"),
        (DAY, ""),
        (b"| ", ""),
    ],
)
def test_who_printed_it(prefix: bytes, source: str) -> None:
    """The prefix of a log of several processes says whose a goroutine is."""
    assert {one.source for one in read(after(prefix)(TEXT))} == {source}


@pytest.mark.parametrize("slash", [b"\\", b"\\\\"])
@pytest.mark.parametrize("wrap", [b'msg="%s"\n', b'{"a":1,"log":"%s","b":2}'])
def test_a_long_line_of_many_goroutines(slash: bytes, wrap: bytes) -> None:
    """A logger's one line of a megabyte is read whole, wherever its pieces end."""
    text = b"".join(ONE.replace(b"goroutine 7", b"goroutine %d" % number) for number in range(3000))
    assert read(wrap % text.replace(b"\n", slash + b"n").replace(b"\t", slash + b"t")) == read(text)


def test_a_long_line_of_many_entries() -> None:
    """So is a service's whole export in one line."""
    text = b"".join(ONE.replace(b"goroutine 7", b"goroutine %d" % number) for number in range(3000))
    assert read(json.dumps(entries(text)).encode()) == read(text)


@pytest.mark.parametrize(
    "unit",
    [
        b"goroutine 1 ",
        b"goroutine 1 [",
        b"goroutine 1 [x]",
        b"goroutine 1 [x]:",
        b"\\",
        b"\\n",
        b"a ",
        b"panic: ",
        b"1",
        b"1 @ 0x1 ",
        b"created by ",
        b" +0x1",
        b" fp=0x1 ",
        b"(",
        b"a.b(",
        b"\t",
        b"\r",
        b"#011",
    ],
)
def test_no_line_takes_long(unit: bytes) -> None:
    """A line of anything takes some time for each byte, however long it is."""

    def lines(size: int) -> bytes:
        return ((unit * size)[:size] + b".go:1z\n") * 30

    def read(text: bytes) -> None:
        assert len([*goroutines(lines_of(io.BytesIO(b"goroutine 1 [select]:\nmain.f()\n" + text)))]) >= 1
        assert [*counted(lines_of(io.BytesIO(b"1 @ 0x1\n" + text)))]

    assert growth(lines, read, 16_000) < LINEAR


@pytest.mark.parametrize("letters", ['"', "\\n", ".(*a)", "\n", "/a.b", "goroutine 1 [", "<span class=", "&lt;"])
def test_letters_that_come_again_and_again(letters: str) -> None:
    """A text of nothing but what the reader looks for takes some time for each byte, however long it is."""
    head = b"goroutine 1 [select]:\n"

    def text(size: int) -> bytes:
        return head + letters.encode() * (size // len(letters))

    def read(text: bytes) -> None:
        assert len([*goroutines(way_of(io.BytesIO(text))(io.BytesIO(text)))]) <= 1 + len(text)

    assert growth(text, read, 50_000) < LINEAR
