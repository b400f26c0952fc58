"""Which worker makes a run: the freest, not one that has failed at it, and none that fails again and again."""

from harness.experiments.fleet.hosts import Hosts, Worker


def hosts(**slots: int) -> Hosts:
    """Return hosts of these names, a worker each, with so many places."""
    return Hosts({name: Worker(name, name, name, count) for name, count in slots.items()})


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


def machines() -> Hosts:
    """Return two workers of a host, and one of another."""
    workers = [Worker(f"tcp://{name}", name, name[0], 1, boot=f"boot-{name[0]}") for name in ("a-0", "a-1", "b")]
    return Hosts({worker.address: worker for worker in workers})


def test_a_run_that_failed_goes_to_another_machine_first() -> None:
    """What is in the way of one worker may be in the way of all of its machine: they come before it, after others."""
    assert [worker.name if (worker := machines().take(avoided)) else None for avoided in ({"a-0"}, {"b"})] == [
        "b",
        "a-0",
    ]
    of_one = machines()
    del of_one.workers["tcp://b"]
    other = of_one.take({"a-0"})
    assert other
    assert other.name == "a-1"
    assert of_one.take({"a-0"}) is None, "a-1 is busy, and comes before a-0 once more"
    assert of_one.take({"a-0", "a-1"})


def test_three_failures_in_a_row_leave_a_worker_out() -> None:
    """The third failure is said once and leaves that worker out, no other; a run that was made ends the count."""
    three = machines()
    assert [three.failed("a-0", why) for why in ("one", "two")] == [False, False]
    three.made("a-0")
    assert [three.failed("a-0", why) for why in ("one", "two", "three", "four")] == [False, False, True, False]
    assert three.left_out == {"a-0": "four"}
    assert (three.slots, three.hosts) == (2, ["a", "b"])
    for _ in range(3):
        three.failed("a-1", "five")
    assert (three.slots, three.hosts) == (1, ["b"])


def test_two_machines_of_one_name() -> None:
    """Looks would be taken as of one host; so the second is seen, unless its name was given to be shared."""
    three = machines()
    assert [three.is_taken("a", boot) for boot in ("boot-a", "boot-c", "")] == [False, True, False]
    assert not three.is_taken("c", "boot-c")
    for worker in three.workers.values():
        worker.silent = True
    assert not three.is_taken("a", "boot-c"), "it may have been booted anew"


def test_a_silent_worker_is_not_asked() -> None:
    """What the scheduler has not heard of for long has no free place, but is still there."""
    one = hosts(a=1)
    one.workers["a"].silent = True
    assert one.take() is None
    assert one.slots == 1
