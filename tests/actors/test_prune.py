"""``prune``: what cannot work is refused; what each client is told is tested with the clients."""

import pytest
from pydantic import TypeAdapter

from harness.actors.prune import Prune
from harness.scenario import Limits, Setting, Stop

ADAPTER = TypeAdapter(Prune)
SETTING = Setting(Stop(iterations=5), frozenset({"ci"}), (), (Limits(),))
INTERVAL, FOLLOWS = {"interval": "1s"}, {"phase": "exited", "of": "ci"}


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"what": "tag", "when": INTERVAL}, [("what",)]),
        ({"what": "tag", "when": FOLLOWS}, []),
        ({"what": "images", "keep_storage": "1GB", "when": INTERVAL}, [("keep_storage",)]),
        ({"keep_storage": "953.7MB", "filters": ["type=regular"], "when": INTERVAL}, []),
        ({"what": "everything", "all": True, "when": FOLLOWS}, []),
        ({"via": "api", "keep_storage": "1GB", "when": INTERVAL}, []),
        ({"via": "api", "what": "images", "when": INTERVAL}, [("via",)]),
        ({"via": "auto", "kill": {"after": "1s", "every": 2}, "when": INTERVAL}, [("kill",)]),
        ({"via": "auto", "when": INTERVAL}, []),
    ],
)
def test_what_cannot_work(options: dict[str, object], keys: list[tuple[str]]) -> None:
    """A tag needs a build that has made it, and only of the cache can a part be kept."""
    prune = ADAPTER.validate_python({"name": "p"} | options)
    assert [fault.path for fault in prune.faults(SETTING)] == keys
