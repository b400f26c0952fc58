"""Many runs on one page: grouped by what was found, counted over all that could have shown it, whatever is damaged."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from harness.core.records import Action, BuildMoment, Diagnosis
from harness.report.overview.digest import digest_of
from harness.report.overview.groups import days_of, groups_of
from harness.report.write import write_overview
from harness.store.find import runs_below
from harness.store.folder import RunFolder
from harness.store.searches import search_of
from tests.web.runs import ended, going_on, recorded

LIVELOCK = Diagnosis(
    "livelock", "<b>it</b> turns", "export-livelock", True, {"BuildKit": "v0.25.0"}, "https://x.example/1", "S", (), ()
)


def hung(results: Path, scenario: str = "s", diagnosis: Diagnosis | None = LIVELOCK) -> RunFolder:
    """Write a run whose finding was diagnosed."""
    folder = ended(results, scenario)
    if diagnosis:
        folder.write_json("findings/3/diagnosis.json", asdict(diagnosis))
    return folder


def clean(results: Path, version: str = "v0.25.1") -> RunFolder:
    """Write a run of another version that found nothing in a hundred builds."""
    folder = ended(results)
    summary = folder.read_json("summary.json")
    none = {"first_hang": None, "first_finding": None, "verdict": "clean", "exit_code": 0}
    rate = {"hangs": 0, "trials": 100, "low95": 0.0, "high95": 0.036, "unsettled": 0}
    daemon = summary["daemon"] | {"version": version}
    folder.write_json("summary.json", summary | none | {"rate": rate, "daemon": daemon})
    return folder


def test_findings_are_grouped_by_what_they_are(tmp_path: Path) -> None:
    """Runs with one diagnosis make one group, of which a cell counts all runs of a version in a scenario."""
    runs = [hung(tmp_path), hung(tmp_path), hung(tmp_path, "other"), hung(tmp_path, diagnosis=None), clean(tmp_path)]
    groups = {group.signature: group for group in groups_of([digest_of(run) for run in runs])}
    assert groups.keys() == {"export-livelock", "hang, not diagnosed"}
    group = groups["export-livelock"]
    assert (group.findings, group.runs, [*group.scenarios]) == (3, 3, ["other", "s"])
    assert [*group.versions] == ["buildkitd v0.23.2", "buildkitd v0.25.1"]
    assert [*group.hit_versions] == ["buildkitd v0.23.2"]
    mine, fixed = group.cells["buildkitd v0.23.2", "s"], group.cells["buildkitd v0.25.1", "s"]
    assert (mine.runs, mine.hit, mine.findings) == (3, 2, 2)
    assert mine.rate
    assert (mine.rate.hangs, mine.rate.trials) == (2, 6), "the run that hung otherwise is among what could have"
    assert (fixed.runs, fixed.hit, fixed.rate_text) == (1, 0, "0 in 100: fewer than one in 34")
    assert group.first == datetime(2026, 1, 1, 0, 0, 9, 500_000, tzinfo=UTC)
    assert group.days == [(date(2026, 1, 1), 3)]


def test_days_have_no_gaps() -> None:
    """Each day from the first to the last is there, also those without a finding."""
    assert days_of([date(2026, 1, 3), date(2026, 1, 1), date(2026, 1, 3)]) == [
        (date(2026, 1, 1), 1),
        (date(2026, 1, 2), 0),
        (date(2026, 1, 3), 2),
    ]


def test_the_page(tmp_path: Path) -> None:
    """One page has the group with its evidence, every run with how it stands, and works without a server."""
    first = hung(tmp_path)
    died = recorded(tmp_path, "dead")
    with going_on(tmp_path) as going:
        page = write_overview([tmp_path], tmp_path).read_text()
    assert "export-livelock" in page
    assert "&lt;b&gt;it&lt;/b&gt; turns" in page
    assert 'href="https://x.example/1"' in page
    assert f'href="s/{first.name}/findings/3/progress.jsonl"' in page
    states = dict(re.findall(r'<tr data-run="\S+/(\S+?)".* data-state="(.*?)"', page))
    assert states == {first.name: "HANG", died.name: "DIED", going.name: "GOES ON"}
    assert "3 builds" in page[page.index("Going on") : page.index("What was found")]
    assert "geheim" not in page
    assert not re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=", page)


DAMAGES: list[tuple[str, Callable[[RunFolder], object]]] = [
    ("database", lambda run: (run.path / "run.db").write_bytes(b"no database")),
    ("manifest", lambda run: (run.path / "run.json").write_text("[]")),
    ("summary", lambda run: (run.path / "summary.json").write_text("{}")),
    ("diagnosis", lambda run: (run.path / "findings" / "3" / "diagnosis.json").write_text("nothing")),
    ("a folder in a file's place", lambda run: _replace_by_folder(run.path / "summary.json")),
    ("a start that is none", lambda run: _rewrite(run.path / "run.json", started="yesterday")),
]


def _replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _rewrite(file: Path, **changed: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


@pytest.mark.parametrize("damage", [damage for _, damage in DAMAGES], ids=[name for name, _ in DAMAGES])
def test_damage_breaks_no_list(tmp_path: Path, damage: Callable[[RunFolder], object]) -> None:
    """Whatever is wrong with a run, it is in the page, and so are all others."""
    bad, good = hung(tmp_path), hung(tmp_path)
    damage(bad)
    page = write_overview([tmp_path], tmp_path / "out").read_text()
    assert page.count("<tr data-run=") == 2
    assert good.name in page


def test_runs_of_searches_are_found(tmp_path: Path) -> None:
    """Runs that a bisection or a minimization has in its own folder are among all, and stand below it."""
    search = tmp_path / "bisect" / "20260101T000000Z-abcd"
    run = hung(search, "s")
    look = {"said": "hang", "signature": "export-livelock", "folder": str(run.path), "builds": 3, "seconds": 4.0}
    state = {"candidates": [{"name": "v1"}], "observations": [{"candidate": 0, "look": look}]}
    (search / "state.json").write_text(json.dumps(state))
    pair = tmp_path / "s" / "compare-20260101T000000Z-abcd"
    pair.mkdir(parents=True)
    (pair / "begun.json").write_text("{}")
    (pair / "looks.jsonl").write_text(json.dumps({"side": "A", "number": 1, "look": {"said": "clean"}}) + '\n{"torn')
    (tmp_path / "s" / "verify-20260101T000000Z-abcd").mkdir()
    (tmp_path / "s" / "verify-20260101T000000Z-abcd" / "begun.json").write_text("[1")
    assert [each.name for each in runs_below(tmp_path)] == [run.name]
    page = write_overview([tmp_path], tmp_path).read_text()
    assert "1 run of searches and comparisons" in page
    assert page.count('<details class="search"') == 3
    below = page[page.index('data-state="bisect"') :]
    assert f"bisect/20260101T000000Z-abcd/s/{run.name}/" in below[: below.index("</details>")]


def test_an_exploration_is_a_search(tmp_path: Path) -> None:
    """It has its answer, a row a run with its mix in words, and the map of which moment was deadly in these runs."""
    place = tmp_path / "s" / "explore-20260101T000000Z-abcd"
    runs = [hung(place, "s"), hung(place, "s")]
    for run in runs:
        with run.database() as database:
            moment = BuildMoment(3, "RUN sleep", 1.5, followed=True)
            database.add(Action("loop", "prune", 9, 3.2, 3.2, 3.2, 3.3, True, "", moments=(moment,)))
    vary = {"actors.0.export": ["load", "image"], "actors.0.kill.after": ["50ms", "5s"]}
    (place / "begun.json").write_text(json.dumps({"asked": {"vary": vary}}))
    lines = [
        {"phase": "search", "number": number, "point": {"actors.0.export": 1.0, "actors.0.kill.after": 0.25},
         "look": {"said": "hang", "folder": str(run.path), "builds": 3}}
        for number, run in enumerate(runs, 1)
    ]  # fmt: skip
    (place / "runs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    search = search_of(place)
    assert (search.kind, search.is_over, search.answer) == ("explore", False, "")
    assert [look.of for look in search.looks] == [f"search {n}: export image, after 250ms" for n in (1, 2)]
    found = {
        "mix": {"actors.0.export": "image"},
        "rate": {"hangs": 2, "trials": 9},
        "ranking": {"actors.0.export": 1.0},
    }
    (place / "explore.json").write_text(json.dumps(found))
    search = search_of(place)
    assert (search.is_over, search.answer) == (True, "FOUND")
    assert search.because == (
        "actors.0.export=image: 2 hangs in 9 builds of fresh runs; what matters most is actors.0.export"
    )
    page = write_overview([tmp_path], tmp_path).read_text()
    below = page[page.index('data-state="explore"') :]
    below = below[: below.index("</details>")]
    assert "prune of loop: a hang after 2 of 2 acts" in below
    assert all(run.name in below for run in runs)
    (place / "explore.json").write_text(json.dumps({"mix": {}, "searched": 7}))
    assert (search_of(place).answer, search_of(place).because) == ("NO HANG", "no hang in 7 mixes")
    for damage in ("{}", '{"asked": 3}', '{"asked": {"vary": {"x": 3}}}'):
        (place / "begun.json").write_text(damage)
        assert len(search_of(place).looks) == 2 or search_of(place).damaged


def test_what_is_diagnosed_comes_first(tmp_path: Path) -> None:
    """A group of hangs of which there is no diagnosis comes after those that have one, however late it was seen."""
    runs = [hung(tmp_path), hung(tmp_path, diagnosis=None)]
    groups = groups_of([digest_of(run) for run in runs])
    assert [group.diagnosis is None for group in groups] == [False, True]
