"""Runs as JUnit XML: the form that CIs read, findings as failures, runs that say nothing as errors."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.core.outcome import Ending, Verdict
from harness.report.junit import JunitCase, write_junit
from harness.store.folder import RunFolder
from tests.support.stub_runs import run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")

REQUIRED = {
    "testsuites": set[str](),
    "testsuite": {"name", "timestamp", "hostname", "tests", "failures", "errors", "time", "id", "package"},
    "properties": set[str](),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "system-out": set[str](),
    "system-err": set[str](),
}
"""What Ant's JUnit.xsd asks for, by element; it allows nothing else."""
BELOW = {
    "testsuites": ("testsuite",),
    "testsuite": ("properties", "testcase", "system-out", "system-err"),
    "properties": ("property",),
    "testcase": ("failure", "error"),
}
"""In this order."""


def require_shape(element: ElementTree.Element) -> None:
    """Make sure that an element, and all below, is as the schema has it."""
    assert set(element.attrib) == REQUIRED[element.tag], element.tag
    order = BELOW.get(element.tag, ())
    places = [order.index(below.tag) for below in element]
    assert places == sorted(places)
    if element.tag == "testsuite":
        assert [below.tag for below in element].count("properties") == 1
        assert [below.tag for below in element][-2:] == ["system-out", "system-err"]
        assert len(element.attrib["timestamp"]) == len("2026-11-28T10:00:00")
        cases = element.findall("testcase")
        assert int(element.attrib["tests"]) == len(cases)
        for kind in ("failure", "error"):
            assert int(element.attrib[f"{kind}s"]) == len(element.findall(f"testcase/{kind}"))
    if element.tag in {"testsuite", "testcase"}:
        assert float(element.attrib["time"]) >= 0
    for below in element:
        require_shape(below)


@pytest.fixture
def hung(tmp_path: Path) -> RunFolder:
    """A run that hung, with a secret in its build's arguments."""
    scenario = write_scenario(
        tmp_path, build={"args": {"API_TOKEN": "geheim-{iteration}-geheim"}}, clients={"2": "hang"}
    )
    return run(scenario)[2]


def written(folder: RunFolder, *more: JunitCase, **changed: object) -> ElementTree.Element:
    """Return what is written of a run, with its summary changed."""
    summary = folder.summary()
    assert summary is not None
    file = folder.path / "junit.xml"
    write_junit(file, [(folder, replace(summary, **changed))], more)  # type: ignore[arg-type]
    found = ElementTree.parse(file).getroot()  # noqa: S314 — our own file
    require_shape(found)
    return found


def test_a_finding_is_a_failure(hung: RunFolder) -> None:
    """Each finding is a test that failed, with what it is; what is no XML and what is secret stays out."""
    found = written(hung, JunitCase("--fail-if seconds > 1", "error", "threshold", "can\x00not \ud800 <be> told"))
    suite = found[0]
    assert (suite.get("name"), suite.get("failures"), suite.get("errors")) == ("stubbed", "1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "hang"
    assert str(failure.get("message")).startswith("iteration 2 at ")
    assert "geheim" not in (hung.path / "junit.xml").read_text()
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == "can\ufffdnot \ufffd <be> told"


def test_a_verdict_is_a_test(hung: RunFolder) -> None:
    """A run that says nothing is an error, beside its findings; a clean one is a test that passed."""
    nothing = written(hung, verdict=Verdict.INCONCLUSIVE, ending=Ending.FAILING, because="no build succeeded")[0]
    assert [each.tag for case in nothing.findall("testcase") for each in case] == ["failure", "error"]
    error = nothing.find("testcase/error")
    assert error is not None
    assert (error.get("type"), error.get("message")) == ("failing", "no build succeeded")
    clean = written(hung, verdict=Verdict.CLEAN, because="no hang in 9 builds")[0]
    assert clean.findall("testcase")[-1].get("name") == "verdict: no hang in 9 builds"
