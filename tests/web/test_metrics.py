"""Metrics are what is recorded, of the runs of now."""

import os
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from harness.store.folder import RunFolder
from harness.web.metrics import metrics_of
from harness.web.runs import Runs
from tests.web.runs import ended, going_on, recorded


def samples(results: Path) -> dict[tuple[str, ...], float]:
    """Return each value by the metric's name and the values of its labels."""
    text = metrics_of(Runs(results)).decode()
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def age(folder: RunFolder, seconds: float) -> None:
    """Have a run's files be as old as that."""
    then = time.time() - seconds
    for file in folder.path.rglob("*"):
        os.utime(file, (then, then))


def test_nothing_to_tell(tmp_path: Path) -> None:
    """Where there is no run, there are metrics all the same."""
    assert samples(tmp_path / "nowhere") == {("repro_unreadable_runs",): 0}


def test_what_is_recorded(tmp_path: Path) -> None:
    """A run's counters and its last sample are told under its name."""
    with going_on(tmp_path) as folder:
        told = samples(tmp_path)
    run = (folder.name, "s")
    assert told[("repro_run_goes_on", *run)] == 1
    assert told[("repro_iterations_total", "ok", *run)] == 1
    assert told[("repro_iterations_total", "hang", *run)] == 1
    assert told[("repro_findings_total", "hang", *run)] == 1
    assert told[("repro_goroutines", *run)] == 76
    assert told[("repro_memory_bytes", *run)] == 64 * 2**20
    assert told[("repro_cpu_cores", *run)] == 1.5
    assert told[("repro_builds_in_flight", *run)] == 2
    assert told[("repro_harness_memory_bytes", *run)] == 80 * 2**20
    assert 0 <= told[("repro_last_record_age_seconds", *run)] < 60
    assert samples(tmp_path)[("repro_run_goes_on", *run)] == 0


def test_old_runs_are_no_labels(tmp_path: Path) -> None:
    """A run that has ended more than a day ago is not told; one that goes on is, however long it has been silent."""
    old, recent = ended(tmp_path, "old"), ended(tmp_path, "recent")
    age(old, 25 * 3600)
    age(recent, 23 * 3600)
    with going_on(tmp_path) as silent:
        age(silent, 25 * 3600)
        told = samples(tmp_path)
    assert {labels[-1] for name, *labels in told if name == "repro_run_goes_on"} == {"recent", "s"}
    assert told["repro_last_record_age_seconds", silent.name, "s"] > 24 * 3600


def test_damage_is_counted(tmp_path: Path) -> None:
    """A run that cannot be read is counted, and hides no other."""
    damaged, whole = recorded(tmp_path, "damaged"), recorded(tmp_path, "whole")
    (damaged.path / "run.db").write_text("no database")
    told = samples(tmp_path)
    assert told[("repro_unreadable_runs",)] == 1
    assert told[("repro_goroutines", whole.name, "whole")] == 76
    assert not [name for name in told if damaged.name in name]
