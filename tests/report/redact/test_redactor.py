"""Secrets go, whatever their form; what is none stays; the time grows no faster than the text."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.outcome import Outcome, Phase
from harness.core.records import Finding
from harness.report.redact import REDACTED, Redactor, redact
from tests.report.redact.samples import LETTERS, samples
from tests.support.growth import LINEAR, growth

DATA = Path(__file__).parents[2] / "data"
VALUE = "hunter2hunter2"


def test_many_forms() -> None:
    """Of more than 150 forms none survives, nor does the end of one."""
    tried = samples()
    survived = [each.name for each in tried if each.secret[-9:] in redact(each.text)]
    assert len(tried) >= 150
    assert survived == []


def test_every_form_is_tried_at_its_place() -> None:
    """The samples are secrets in the text that they are tried in: what is looked for is there before."""
    assert [each.name for each in samples() if each.secret[-9:] not in each.text and "json" not in each.name] == []


def test_real_logs_stay() -> None:
    """Not a line in more than 5,000 of real logs, dumps, records and progress is touched: digests, ids and stacks."""
    files = [file for kind in ("logs", "goroutines", "history", "progress") for file in (DATA / kind).glob("*.*")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    cleaned = [line for file in files for line in redact(file.read_text()).splitlines()]
    assert len(lines) > 5000
    assert [(a, b) for a, b in zip(lines, cleaned, strict=True) if a != b] == []


@pytest.mark.parametrize(
    "text",
    [
        "N=3",
        '"digest": "sha256:39e5064ed4f75a941a56c3b5859c892e736d8b7cc3f6bb0c42dbbb2400d96b31"',
        "docker-image://alpine:3.22@sha256:39e5064ed4f75a941a56c3b5859c892e736d8b7cc3f6bb0c42dbbb2400d96b31",
        "address = unix:///run/buildkitd.sock",
        "http://127.0.0.1:5000/v2/@scope/name",
        "ssh://git@github.com/moby/buildkit and git@github.com:moby/buildkit",
        "author: somebody <somebody@example.com>, mailto:somebody@example.com",
        "failed to fetch oauth token: unexpected status from GET request to https://auth.docker.io/token?scope=x: 401",
        "pull access denied, repository does not exist or may require authorization: server message: denied",
        "RUN --mount=type=secret,id=npm_token,target=/root/.npmrc npm ci",
        "--secret id=npm_token,src=/run/token",
        "docker run -u 1000:1000 image",
        "NPM_TOKEN=$NPM_TOKEN and ${DB_PASSWORD} and $(cat token)",
        'echo "deploying with $NPM_TOKEN" span="x"',
        "--- PASS: TestToken (0.00s)",
        "key=lgqzy7u2canarv0cz2frirr5y snapshotter=overlayfs traceID=3e9af2b6504fab2fd028058d30405886",
        "PWD=/home/me; GOOGLE_CREDENTIALS=/run/secrets/google.json",
        "max_tokens=4096 TOKEN_URL=https://h/x secretName: regcred",
        'integrity "sha512-' + LETTERS * 2 + '=="',
        "example.org/x v1.0.0/go.mod h1:942/yi/" + LETTERS[30:] + LETTERS[:4] + "aB3c=",
        "status half-installed xauth:amd64 1:1.1.2-1",
        "to set credentials for remote sources",
        "secrets: {}",
        "  tokens: [ ]",
        "2 links for project 'secretstorage': discarding no candidates",
        "initdb --auth-local peer --auth-host scram-sha-256",
        "FILE_PAT=*.txt cacheKey=3e9af2b6504fab2fd028058d30405886 KEY=value1",
        "error reading password file: open /etc/x1: no such file or directory",
        "| token | 4096 | 12 |",
        '<string name="password_hint">Password</string>',
        "250-AUTH PLAIN LOGIN EXTERNAL",
        "PASS: TestToken",
        "cd /x; PWD=/x; echo $1$2; the key is under /etc/keys/2026-11-28/11",
    ],
)
def test_the_rest_stays(text: str) -> None:
    """What only resembles a secret is not touched."""
    assert redact(text) == text


@given(st.text(max_size=200))
def test_twice_is_once(text: str) -> None:
    """What has been cleaned is not changed by being cleaned again."""
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("value", [VALUE, 'a"b\\c & two\nlines', "pass word's", "grüße-ß-secret"])
def test_known_values_go_in_every_form(value: str) -> None:
    """A known value goes from any place, also escaped, in an address, in base64, and folded as YAML folds it."""
    redactor = Redactor([value])
    forms = [
        value,
        json.dumps(value),
        json.dumps(json.dumps({"a": value})),
        json.dumps(value, ensure_ascii=False).replace("&", "\\u0026"),
        f"RUN tool '{value}'",
        value.replace(" ", "\n      "),
        base64.b64encode(value.encode()).decode(),
        base64.b64encode(f"printed {value} here".encode()).decode(),
        value.encode().hex(),
    ]
    for form in forms:
        assert value[-5:] not in redactor.clean(form), form
        assert form not in redactor.clean(f"x {form} y")


def test_a_value_that_changes() -> None:
    """Of an argument with the iteration in it what each build got is known, and not the template alone."""
    redactor = Redactor(["tok_{iteration}_x", "{iteration % 7}-qwerty"])
    assert redactor.clean("got tok_16141_x and 3-qwerty") == f"got {REDACTED} and {REDACTED}"


@pytest.mark.parametrize("value", ["1", "abc", "true", "{iteration}"])
def test_what_is_too_short_is_not_looked_for(value: str) -> None:
    """A value that would take half of a text with it does not go wherever it stands."""
    assert Redactor([value]).clean("a 1 b abc true 7") == "a 1 b abc true 7"


def test_one_nul_byte() -> None:
    """A file with a NUL byte in it is cleaned as well, and keeps its length, as who reads it may count on it."""
    content = b"\0\x01head" + f"DB_PASSWORD={VALUE} {VALUE}".encode() + b"\xff\0tail"
    cleaned = Redactor([VALUE]).clean_bytes(content)
    assert VALUE.encode() not in cleaned
    assert len(cleaned) == len(content)
    assert (cleaned[:6], cleaned[-6:]) == (content[:6], content[-6:])


@pytest.mark.parametrize("around", [(b"\0\1\0", b"\0\2"), (b"\0\1", b"\1\0"), (b"\0\x1f", b"\2\0")])
def test_every_form_among_other_data(around: tuple[bytes, bytes]) -> None:
    """No form survives between bytes that are no text, as databases and environments have them."""
    tried = samples()
    before, after = around
    cleaned = [Redactor().clean_bytes(before + each.text.rstrip("\n").encode() + after) for each in tried]
    assert [each.name for each, text in zip(tried, cleaned, strict=True) if each.secret.encode() in text] == []


def test_wide_text() -> None:
    """A text of which every other byte is NUL is read as what it is."""
    assert Redactor().clean_bytes(f"DB_PASSWORD={VALUE}".encode("utf-16")).decode("utf-16") == f"DB_PASSWORD={REDACTED}"


def test_encoded_text_stays_text() -> None:
    """A step's output is decoded, cleaned and encoded again: what stood around a secret can be read still."""
    line = json.dumps({"logs": [{"data": base64.b64encode(f"one\nTOKEN={VALUE}\ntwo\n".encode()).decode()}]})
    (log,) = json.loads(redact(line))["logs"]
    assert base64.b64decode(log["data"]).decode() == f"one\nTOKEN={REDACTED}\ntwo\n"


@pytest.mark.parametrize("separator", ["\n", "\\n"])
def test_base64_over_lines(separator: str) -> None:
    """What `base64` prints over several lines is read as one: a secret may stand on the border of two."""
    printed = base64.encodebytes(f"{'first line, ' * 4}NPM_TOKEN={VALUE} {'and what follows ' * 9}".encode()).decode()
    assert printed.count("\n") > 3
    cleaned = redact(f"output:\n{printed}end".replace("\n", separator)).split(f"output:{separator}")[1]
    assert (
        base64.b64decode(cleaned.removesuffix("end").replace("\\n", "\n")).decode().count(f"TOKEN={REDACTED} and") == 1
    )


def test_it_is_counted() -> None:
    """What was taken out is said by kind, also what was found inside of encoded text."""
    redactor = Redactor([VALUE])
    redactor.clean(f"{VALUE} AKIA{'A' * 16} DB_PASS=x1")
    redactor.clean(base64.b64encode(f"DB_PASS=x1y DB_PASS=x2y {VALUE}".encode()).decode())
    assert redactor.taken == {"known value": 1, "AWS": 1, "named value": 4}


def test_records() -> None:
    """In plain data a value goes by its key, whatever it is; a placeholder stays, so that builds differ as they did."""
    written = {"args": {"API_TOKEN": "tok_{iteration % 7}_x", "N": 3}, "on": ["curl -u me:secret99", None, True]}
    assert Redactor().tree(written) == {
        "args": {"API_TOKEN": REDACTED + "{iteration % 7}", "N": 3},
        "on": [f"curl -u me:{REDACTED}", None, True],
    }
    finding = Finding(3, Outcome.HANG, 9.5, "ci", {"A_KEY": "x"}, Phase.EXPORTED, 5.0, 4, (VALUE,), hunted=True)
    cleaned = Redactor([VALUE]).tree(finding)
    assert (cleaned.kind, cleaned.args, cleaned.last_progress) == (Outcome.HANG, {"A_KEY": REDACTED}, (REDACTED,))


HARD = """- password= password=" :// x://a: a:b@ &key= \\ eyJ eyJa. \\neyJ glpat- <password> hooks.slack.com/ aB1 QUJD
"data":" tok_1_ -----BEGIN_PRIVATE_KEY----- password:_ authorization:_ curl_-u_ login_-p_ mysql_ echo_
kind:_Secret_data:_ |_password_| psk= user_x_on_> <a_name="token connect(a, "mysql","a", USER_a_PASS_ H4sI"""
"""What expressions have trodden on: beginnings without an end; they are tried over and over, with blanks for ``_``."""


@pytest.mark.parametrize("unit", HARD.split())
def test_time_is_linear(unit: str) -> None:
    """Four times the text takes about four times as long."""
    redactor = Redactor([VALUE, "tok_{iteration}_x"])
    redactor.clean_bytes(b"warm")

    def text(size: int) -> bytes:
        return (unit.replace("_", " ") * (size // len(unit))).encode()

    assert growth(text, redactor.clean_bytes, 2000) < LINEAR


@pytest.mark.parametrize("wrapped", [lambda text: {"log": text}, lambda text: ["repro", text]], ids=["value", "list"])
def test_texts_in_json(wrapped: Callable[[str], object]) -> None:
    """A text in JSON, whose lines and quotes stand there as escapes, is cleaned as it would be by itself."""
    left = [
        each.name
        for each in samples()
        for line in [json.dumps(wrapped(each.text))]
        for text in (line, f"first\n{line}\nlast\n", json.dumps({"a": wrapped(each.text)}, indent=1))
        if each.secret in redact(text)
    ]
    assert left == []


def test_many_texts_in_one_line_of_json() -> None:
    """No text in a list keeps another's secret in it."""
    tried = samples()
    cleaned = redact(json.dumps([each.text for each in tried]))
    assert [each.name for each in tried if each.secret in cleaned] == []


@pytest.mark.parametrize("text", ['{"a": "x\\n"}', "[1e999]", '{"a":"\\ud800"}', '{"a\\n": 1', "[" * 9000, "{\\n"])
def test_json_without_secrets(text: str) -> None:
    """What has none is left as it is written, also what is no JSON after all."""
    assert redact(text) == text
