"""Interrupts: a signal cancels what heeds it, and nothing else."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import anyio
import pytest
from anyio.lowlevel import checkpoint

from harness.host.interrupt import first_of, heed_signals, interruptible

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def harmless() -> Iterator[None]:
    """Signals that the code under test fails to take over do not end the tests."""
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def strike(number: signal.Signals) -> None:
    """Signal ourselves, and let it be taken note of."""
    await anyio.wait_all_tasks_blocked()
    os.kill(os.getpid(), number)
    for _ in range(10):
        await checkpoint()


async def asleep(number: signal.Signals) -> bool:
    """Signal ourselves and sleep; return that nothing woke us for it, after a while."""
    os.kill(os.getpid(), number)
    await anyio.sleep(0.05)
    return True


pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_cancels_what_heeds_it(number: signal.Signals) -> None:
    """Either signal ends the wait inside, is known afterwards, and lets what stands after it go on."""
    went_on = False
    async with interruptible() as interrupt:
        with anyio.fail_after(60), interrupt.cancellable():
            await anyio.wait_all_tasks_blocked()
            os.kill(os.getpid(), number)
            await anyio.sleep_forever()
        await anyio.sleep(0.01)
        went_on = True
    assert interrupt.came
    assert went_on


async def test_nohup() -> None:
    """A hang-up that is ignored from the start, as `nohup` has it, stays ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    async with interruptible() as interrupt:
        os.kill(os.getpid(), signal.SIGHUP)
        await anyio.sleep(0.05)
    assert not interrupt.came


async def test_without_a_signal() -> None:
    """What ends by itself is not cancelled, and nothing is said to have come."""
    async with interruptible() as interrupt:
        with interrupt.cancellable():
            await anyio.sleep(0.01)
        done = True
    assert done
    assert not interrupt.came


async def test_a_signal_that_came_before() -> None:
    """What begins after a signal is cancelled at its first wait; what does not wait is done."""
    steps = []
    async with interruptible() as interrupt:
        await strike(signal.SIGTERM)
        assert interrupt.came
        with interrupt.cancellable():
            steps.append("begun")
            await anyio.sleep_forever()
            steps.append("never")
        steps.append("after")
    assert steps == ["begun", "after"]


async def test_cleaning_up_is_never_cancelled() -> None:
    """Neither the first signal nor a second and a third reach a clean-up, shielded inside or outside of what heeds."""
    cleaned = []
    async with interruptible() as interrupt:
        with interrupt.cancellable():
            try:
                await strike(signal.SIGINT)
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    cleaned.append(await asleep(signal.SIGINT))
        cleaned.append(await asleep(signal.SIGTERM))
    assert cleaned == [True, True]
    assert interrupt.came


async def test_each_heeding_by_itself() -> None:
    """A signal cancels the part that is under way, also where another part was heeded before."""
    async with interruptible() as interrupt:
        with interrupt.cancellable():
            await checkpoint()
        with anyio.fail_after(60), interrupt.cancellable():
            await strike(signal.SIGTERM)
            await anyio.sleep_forever()
    assert interrupt.came


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_right_after_entering(number: signal.Signals) -> None:
    """Signals are taken over as soon as the block is entered: one that comes before its first wait is not lost."""
    async with interruptible() as interrupt:
        os.kill(os.getpid(), number)
        with anyio.fail_after(60), interrupt.cancellable():
            await anyio.sleep_forever()
    assert interrupt.came


@pytest.mark.parametrize("raises", [False, True])
async def test_heeding_within_heeding(raises: bool) -> None:
    """What heeded before goes on to heed once an inner part is over, and nothing heeds after the outer one."""
    after = False
    async with interruptible() as interrupt:
        with anyio.fail_after(60), interrupt.cancellable():
            with suppress(LookupError), interrupt.cancellable():
                await checkpoint()
                if raises:
                    raise LookupError
            await strike(signal.SIGTERM)
            await anyio.sleep_forever()
        after = await asleep(signal.SIGTERM)
    assert interrupt.came
    assert after


async def test_signals_are_given_back() -> None:
    """Afterwards a signal does what it did before, also where that was not what it does to any program."""
    before = [signal.getsignal(number) for number in SIGNALS]
    async with interruptible():
        await anyio.wait_all_tasks_blocked()
    assert [signal.getsignal(number) for number in SIGNALS] == before


async def test_an_error_comes_out_as_itself() -> None:
    """An error inside is raised as it is, not in a group, and the signals are given back for it too."""

    async def fail() -> None:
        async with interruptible():
            await anyio.wait_all_tasks_blocked()
            raise LookupError("mine")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(LookupError, match="mine"):
        await fail()
    assert signal.getsignal(signal.SIGTERM) is before


async def test_an_error_while_it_is_cancelled() -> None:
    """An error of the clean-up after a signal is not lost."""

    async def fail() -> None:
        async with interruptible() as interrupt:
            with interrupt.cancellable():
                try:
                    await strike(signal.SIGTERM)
                    await anyio.sleep_forever()
                finally:
                    raise LookupError("clean-up")

    with pytest.raises(LookupError, match="clean-up"):
        await fail()


@pytest.mark.parametrize("number", SIGNALS)
def test_outside_of_any_run(number: signal.Signals) -> None:
    """Where nothing is to be ended in order, each signal does what Ctrl-C does."""
    heed_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_the_first_of_a_group() -> None:
    """The first error that is no group is found however deep it stands."""
    first, second = LookupError("first"), ValueError("second")
    assert first_of(ExceptionGroup("a", [ExceptionGroup("b", [first, second]), ValueError("third")])) is first
    assert first_of(BaseExceptionGroup("a", [KeyboardInterrupt(), second])).__class__ is KeyboardInterrupt
