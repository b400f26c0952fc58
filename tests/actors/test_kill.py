"""The time-out of a build: which builds, when, and whom the signal reaches."""

import os
import signal
from collections.abc import Callable
from random import Random

import anyio
import pytest
from pydantic import ValidationError

from harness.actors.kill import KillRule, TimeOut
from harness.core.outcome import Phase
from harness.core.rng import Dice
from harness.host.proc import Child, Command, Identity, child

pytestmark = pytest.mark.anyio

Eventually = Callable[[Callable[[], bool]], bool]

DEAF = "trap '' TERM INT HUP QUIT; echo ready; while :; do sleep 0.05; done"
HEEDS = "echo ready; exec sleep 1000"
PARENT = "sleep 1000 & echo $!; wait"


def kill(**written: object) -> KillRule:
    """Return a time-out as a scenario writes it."""
    return KillRule.model_validate({"after": "5s"} | written)


@pytest.mark.parametrize("every", [1, 3, 7])
def test_every_nth(every: int) -> None:
    """Every n-th iteration is killed, counted over the run, and no other, whatever chance says."""
    rule = kill(every=every)
    chosen = [number for number in range(1, 50) if rule.delay(number, Random(number)) is not None]
    assert chosen == [*range(every, 50, every)]
    assert rule.delay(every, Random(1)) == 5.0


def test_by_chance() -> None:
    """With a chance about that share is killed, the same builds for the same seed, in whatever order they come."""
    rule, dice = kill(chance=0.3, after={"uniform": ["100ms", "1s"]}), Dice(1, "ci")
    plan = {number: rule.delay(number, dice.throw(number)) for number in range(1, 1001)}
    again = {number: rule.delay(number, dice.throw(number)) for number in range(1000, 0, -1)}
    assert again == plan
    drawn = [delay for delay in plan.values() if delay is not None]
    assert 240 < len(drawn) < 360  # 300, and its deviation is sqrt(1000 * 0.3 * 0.7), or 14
    assert 0.1 <= min(drawn) < 0.2
    assert 0.9 < max(drawn) <= 1.0
    assert all(kill(chance=1.0).delay(number, Random(number)) == 5.0 for number in range(1, 100))


def test_the_delay_is_no_matter_of_who_is_chosen() -> None:
    """Who is killed early is no more and no less likely to be killed: the two throws are apart."""
    rule = kill(chance=0.5, after={"uniform": ["0s", "1s"]})
    drawn = [delay for number in range(2000) if (delay := rule.delay(number, Random(number))) is not None]
    assert 0.45 < sum(drawn) / len(drawn) < 0.55


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"every": 3, "chance": 0.5},
        {"every": 0},
        {"chance": 0.0},
        {"chance": 1.5},
        {"every": 3, "signal": "SIGSTOP"},
        {"every": 3, "target": "daemon"},
        {"every": 3, "grace": 5},
        {"every": 3, "sig": "SIGINT"},
    ],
    ids=["no-rule", "two-rules", "never", "no-chance", "sure-chance", "signal", "target", "unit", "unknown"],
)
def test_what_is_refused(written: dict[str, object]) -> None:
    """A time-out has one rule, and no signal, target or key that there is not."""
    with pytest.raises(ValidationError):
        kill(**written)


@pytest.mark.parametrize(
    ("after", "since", "in_words"),
    [
        ("5s", Phase.STARTED, "5s"),
        ({"uniform": ["1s", "2s"]}, Phase.STARTED, "1s to 2s"),
        ({"started": "5s"}, Phase.STARTED, "5s from when it starts"),
        ({"exporting": {"uniform": ["1s", "2s"]}}, Phase.EXPORTING, "1s to 2s from when it begins to export"),
    ],
)
def test_from_when_it_counts(after: object, since: Phase, in_words: str) -> None:
    """A build's time-out counts from its client's start, or from the phase that it names; written back as it was."""
    rule = TimeOut.model_validate({"every": 1, "after": after})
    assert (rule.since, rule.after.in_words) == (since, in_words)
    assert rule.delay(1, Random(1)) is not None
    assert rule.model_dump(mode="json")["after"] == after
    assert TimeOut.model_validate(rule.model_dump()) == rule


@pytest.mark.parametrize("after", [{"exited": "1s"}, {"building": "1s"}, {"started": "1s", "solving": "2s"}, {}])
def test_which_phases(after: object) -> None:
    """There is nothing to kill once a client has exited; one phase is named, and the refusal says which there are."""
    with pytest.raises(ValidationError, match="phases: started, solving, exporting, exported"):
        TimeOut.model_validate({"every": 1, "after": after})
    with pytest.raises(ValidationError):
        kill(every=1, after={"exporting": "1s"})


def test_how_a_runner_does_it() -> None:
    """Unless said otherwise it is as a CI runner does it: SIGTERM to the group, and a few seconds of grace."""
    rule = kill(every=3)
    assert (rule.signal, rule.target, rule.grace) == ("SIGTERM", "group", 5.0)


async def line(client: Child) -> str:
    """Return the first line that a client prints."""
    text = b""
    async for chunk in client.output():
        text += chunk
        if b"\n" in text:
            break
    return text.decode().strip()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGKILL"])
@pytest.mark.parametrize("target", ["client", "group"])
async def test_each_signal(name: str, target: str) -> None:
    """The client gets the signal that the scenario names, and ends on it long before the grace is over."""
    rule = kill(every=1, signal=name, target=target, grace="10m")
    async with child(Command(("sh", "-c", f"ulimit -c 0; {HEEDS}"))) as client, anyio.create_task_group() as tasks:
        assert await line(client) == "ready"
        tasks.start_soon(rule.send, client)
        assert await client.wait() == -signal.Signals[name]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("target", ["client", "group"])
async def test_a_deaf_client(target: str) -> None:
    """A client that does not end on the signal has its grace, and is SIGKILLed after it."""
    async with child(Command(("sh", "-c", DEAF))) as client, anyio.create_task_group() as tasks:
        assert await line(client) == "ready"
        tasks.start_soon(kill(every=1, target=target, grace="10m").send, client)
        await anyio.sleep(0.2)
        assert client.returncode is None
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await kill(every=1, target=target, grace="100ms").send(client)
            assert await client.wait() == -signal.SIGKILL


@pytest.mark.parametrize("target", ["client", "group"])
async def test_whom_it_reaches(target: str, eventually: Eventually) -> None:
    """The group is the client with all that it started; the client alone leaves those running."""
    async with child(Command(("sh", "-c", PARENT))) as client:
        below = Identity.of(int(await line(client)))
        await kill(every=1, target=target, grace="50ms").send(client)
        assert await client.wait() == -signal.SIGTERM
        if target == "group":
            assert eventually(lambda: not below.alive())
        else:
            assert below.alive()
            os.kill(below.pid, signal.SIGKILL)


async def test_a_client_that_has_ended() -> None:
    """Striking a client that has ended by itself does nothing, least of all to another process."""
    async with child(Command(("true",))) as client:
        assert await client.wait() == 0
        await kill(every=1, grace="1ms").send(client)
        assert client.returncode == 0
