"""Secrets go, by their names and their forms; what is none stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.redact import REDACTED, is_secret, redact

VALUE = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"NPM_TOKEN={VALUE}",
        f'"DB_PASSWORD": "{VALUE}"',
        f"--build-arg GITHUB_TOKEN={VALUE}",
        f"docker login --password {VALUE}",
        f"aws_secret_access_key = '{VALUE}'",
        f"https://user:{VALUE}@registry.example/v2/",
        f"Authorization: Bearer {VALUE}",
        f'"auth": "{VALUE}"',
        f"remote: ghp_{VALUE}{VALUE}",
        "key AKIAIOSFODNN7EXAMPLE",
        f"api-key: {VALUE}",
        f"export MY_API_KEY={VALUE}; next",
    ],
)
def test_secrets_go(text: str) -> None:
    """A value behind a name that says so, credentials in an address, and tokens of known forms are taken out."""
    cleaned = redact(text)
    assert REDACTED in cleaned
    assert VALUE not in cleaned
    assert "AKIA" not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "N=3",
        "goroutine 7 [select]:\ngoogle.golang.org/grpc.(*tokenSource).Token(0xc000)\n\t/src/token.go:12 +0x1a",
        '"digest": "sha256:39e5064ed4f75a941a56c3b5859c892e736d8b7cc3f6bb0c42dbbb2400d96b31"',
        "address = unix:///run/buildkitd.sock",
        "http://127.0.0.1:5000/v2/",
        "author: somebody",
    ],
)
def test_the_rest_stays(text: str) -> None:
    """Stacks, digests, addresses and ordinary arguments are not touched."""
    assert redact(text) == text


def test_known_values_go_wherever_they_stand() -> None:
    """A value that is known to be a secret goes from any place; one too short to be told apart does not."""
    assert redact(f"RUN curl {VALUE}", [VALUE]) == f"RUN curl {REDACTED}"
    assert redact("a 1 b", ["1"]) == "a 1 b"


@given(st.text(max_size=200))
def test_twice_is_once(text: str) -> None:
    """What has been cleaned is not changed by being cleaned again."""
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(("name", "secret"), [("NPM_TOKEN", True), ("password", True), ("N", False), ("TARGET", False)])
def test_names(name: str, secret: bool) -> None:
    """Build arguments are judged by their names."""
    assert is_secret(name) is secret
