"""Runs as JUnit XML, which every CI reads: a finding is a failure, a run that says nothing is an error.

The form is that of Ant's `JUnit.xsd`, whose stricter parts (timestamps without a zone, `system-out` and `system-err`
last) Jenkins, GitLab and GitHub's readers take as well.
"""

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from xml.etree import ElementTree

from harness.core.files import write_whole
from harness.core.outcome import Outcome, Verdict
from harness.core.records import Finding, Summary
from harness.report.door import redactor_of
from harness.report.words import facts, finding_line, headline
from harness.store.folder import RunFolder

CaseState = Literal["passed", "failure", "error"]
_UNFIT: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no form for."""
_MOST_FINDINGS: Final = 1000


@dataclass(frozen=True)
class JunitCase:
    """One line of a CI's table of tests."""

    name: str
    state: CaseState = "passed"
    kind: str = ""
    """What its CI groups it by."""
    message: str = ""
    text: str = ""
    seconds: float = 0.0


def write_junit(file: Path, runs: Sequence[tuple[RunFolder, Summary]], thresholds: Sequence[JunitCase] = ()) -> None:
    """Write runs as one file of JUnit XML, a test suite each, without secrets.

    Args:
        file: where to.
        runs: what they came to.
        thresholds: what the user's own came to, which stand in the suite of the last run.

    Raises:
        StoreError: it cannot be written, or a run cannot be read.
    """
    top = ElementTree.Element("testsuites")
    for number, (folder, summary) in enumerate(runs):
        more = thresholds if number == len(runs) - 1 else ()
        top.append(_suite(number, folder, summary, [*_cases(folder, summary), *more]))
    ElementTree.indent(top)
    write_whole(file, ElementTree.tostring(top, encoding="utf-8", xml_declaration=True) + b"\n")


def _cases(folder: RunFolder, summary: Summary) -> Iterator[JunitCase]:
    """Yield a case for each finding, and one for the verdict where it is not a hang's."""
    findings = folder.read(Finding)
    for finding in findings[:_MOST_FINDINGS]:
        text = "\n".join([summary.diagnosis.sentence, *summary.diagnosis.frames]) if summary.diagnosis else ""
        yield JunitCase(
            name=f"iteration {finding.iteration} ({finding.actor}): {finding.kind}",
            state="failure",
            kind=finding.kind,
            message=finding_line(finding),
            text=text if finding is findings[0] else "",
            seconds=finding.waited,
        )
    _, because = headline(folder, summary, None)
    if summary.verdict is Verdict.INCONCLUSIVE:
        yield JunitCase("verdict", "error", summary.ending, because, because)
    elif summary.verdict is Verdict.CLEAN:
        yield JunitCase(f"verdict: {because}", seconds=summary.seconds)
    elif not any(finding.kind is Outcome.HANG for finding in findings):
        yield JunitCase("verdict", "failure", Outcome.HANG, because)


def _suite(number: int, folder: RunFolder, summary: Summary, cases: Sequence[JunitCase]) -> ElementTree.Element:
    redactor = redactor_of(folder.path)

    def clean(text: object) -> str:
        return _UNFIT.sub("\ufffd", redactor.clean(str(text)))

    manifest = folder.manifest()
    name = clean(summary.scenario)
    suite = ElementTree.Element(
        "testsuite",
        id=str(number),
        package="repro",
        name=name,
        timestamp=manifest.started[: len("2026-11-28T10:00:00")],
        hostname=clean(socket.gethostname()),
        tests=str(len(cases)),
        failures=str(sum(case.state == "failure" for case in cases)),
        errors=str(sum(case.state == "error" for case in cases)),
        time=f"{summary.seconds:.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    lines_of = facts(folder, summary, manifest)
    for key, value in lines_of.items():
        ElementTree.SubElement(properties, "property", name=clean(key), value=clean(value))
    for case in cases:
        element = ElementTree.SubElement(
            suite, "testcase", name=clean(case.name), classname=f"repro.{name}", time=f"{case.seconds:.3f}"
        )
        if case.state != "passed":
            problem = ElementTree.SubElement(element, case.state, type=clean(case.kind), message=clean(case.message))
            problem.text = clean(case.text or case.message)
    ElementTree.SubElement(suite, "system-out").text = clean(
        "\n".join(f"{key}: {value}" for key, value in lines_of.items())
    )
    ElementTree.SubElement(suite, "system-err").text = ""
    return suite
