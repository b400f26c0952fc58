"""Which host makes a run: the freest, not one that has failed at it, and none that fails again and again."""

from harness.experiments.fleet.hosts import Hosts, Worker


def hosts(**slots: int) -> Hosts:
    """Return hosts of these names, a worker each, with so many places."""
    return Hosts({name: Worker(name, name, count) for name, count in slots.items()})


def test_the_freest_is_taken_until_none_is_free() -> None:
    """Places are taken where most are free, and no more than there are; one that is given back is taken again."""
    three = hosts(a=1, b=2)
    taken = [three.take() for _ in range(4)]
    assert [worker.host if worker else None for worker in taken] == ["b", "a", "b", None]
    assert taken[1]
    three.give_back(taken[1])
    again = three.take()
    assert again is taken[1]


def test_one_at_a_time_goes_round() -> None:
    """Where there is but one run at a time, hosts with as many free places take turns."""
    three = hosts(a=1, b=1, c=1)
    names = []
    for _ in range(6):
        worker = three.take()
        assert worker
        names.append(worker.host)
        three.give_back(worker)
    assert names == ["a", "b", "c"] * 2


def test_a_run_that_failed_goes_elsewhere() -> None:
    """A host at which a run failed waits for another one to be free, and is taken again only where it is alone."""
    two = hosts(a=5, b=1)
    first = two.take({"a"})
    assert first
    assert first.host == "b"
    assert two.take({"a"}) is None, "b is busy, and comes before a once more"
    alone = hosts(a=1).take({"a"})
    assert alone
    assert alone.host == "a"


def test_three_failures_in_a_row_leave_a_host_out() -> None:
    """The third failure is said once and leaves all workers of a host out; a run that was made ends the count."""
    two = Hosts({"a1": Worker("a1", "a", 1), "a2": Worker("a2", "a", 1), "b": Worker("b", "b", 1)})
    assert [two.failed("a", why) for why in ("one", "two")] == [False, False]
    two.made("a")
    assert [two.failed("a", why) for why in ("one", "two", "three", "four")] == [False, False, True, False]
    assert two.left_out == {"a": "four"}
    assert (two.slots, two.names) == (1, ["b"])


def test_a_silent_worker_is_not_asked() -> None:
    """What the scheduler has not heard of for long has no free place, but is still there."""
    one = hosts(a=1)
    one.workers["a"].silent = True
    assert one.take() is None
    assert one.slots == 1
