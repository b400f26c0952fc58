"""Who needs a token, and which."""

import pytest

from harness.web.auth import WeakToken, address_of, is_loopback, token_for

LONG = "a-token-that-is-long-enough"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_none_on_the_loopback(host: str) -> None:
    """On the loopback no token is needed, and one that is given is asked for."""
    assert is_loopback(host)
    assert token_for(host, None) is None
    assert token_for(host, LONG) == LONG


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "ci.example", "localhost.example"])  # noqa: S104 — named, not used
def test_one_elsewhere(host: str) -> None:
    """Elsewhere a token is drawn where none is given, another each time."""
    assert not is_loopback(host)
    drawn = {token_for(host, None) for _ in range(10)}
    assert len(drawn) == 10
    assert all(each and len(each) >= 32 for each in drawn)
    assert token_for(host, LONG) == LONG


@pytest.mark.parametrize("token", ["", "short", "fifteen-letters"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 — named, not used
def test_no_weak_one(host: str, token: str) -> None:
    """A token that could be guessed is refused."""
    with pytest.raises(WeakToken):
        token_for(host, token)


def test_the_address() -> None:
    """The address that is printed can be opened as it stands."""
    assert address_of("127.0.0.1", 8321, None) == "http://127.0.0.1:8321/"
    assert address_of("::1", 80, "a b&c") == "http://[::1]:80/?token=a+b%26c"
