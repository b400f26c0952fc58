"""Who needs a token, and which."""

import pytest

from harness.web.auth import Keys, WeakToken, address_of, is_loopback

LONG = "a-token-that-is-long-enough"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_loopback(host: str) -> None:
    """Only this host reaches the loopback."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "ci.example", "localhost.example"])  # noqa: S104 — named, not used
def test_elsewhere(host: str) -> None:
    """Others reach every other address."""
    assert not is_loopback(host)


def test_another_token_each_time() -> None:
    """A token is drawn where none is given, another each time, and stands in nothing that is derived from it."""
    drawn = [Keys.of(None) for _ in range(10)]
    assert len({keys.token for keys in drawn}) == 10
    assert all(len(keys.token) >= 32 for keys in drawn)
    keys = Keys.of(LONG)
    assert keys.token == LONG
    assert len({keys.csrf, keys.session, keys.code, keys.token}) == 4
    assert LONG not in repr(keys)


@pytest.mark.parametrize("token", ["", "short", "fifteen-letters"])
def test_no_weak_one(token: str) -> None:
    """A token that could be guessed is refused."""
    with pytest.raises(WeakToken):
        Keys.of(token)


def test_the_address() -> None:
    """The address that is printed can be opened as it stands."""
    assert address_of("127.0.0.1", 8321) == "http://127.0.0.1:8321/"
    assert address_of("::1", 80, "a b&c") == "http://[::1]:80/login?code=a+b%26c"
