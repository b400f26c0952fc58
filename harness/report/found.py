"""A finding as HTML, the same in the report, on the page of a run, and on that of many runs: what it is, and why."""

from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.core.records import Diagnosis
from harness.core.units import counted, format_size
from harness.report.account import Evidence
from harness.report.words import moment, shown_seconds

TEMPLATES: Final = Path(__file__).with_name("templates")


def style() -> Markup:
    """Return the style of every page."""
    return Markup((TEMPLATES / "page.css").read_text())  # noqa: S704 — our own


def environment() -> Environment:
    """Return what renders the pages: all text in them is escaped."""
    made = Environment(
        loader=PackageLoader("harness", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"size": format_size, "seconds": shown_seconds, "moment": moment, "counted": counted}
    return made


_TEMPLATE: Final = environment().get_template("templates/finding.html")
_DIAGNOSIS: Final = environment().get_template("templates/diagnosis.html").module


def diagnosis_html(diagnosis: Diagnosis) -> Markup:
    """Return what a finding comes to."""
    return Markup(_DIAGNOSIS.diagnosis(diagnosis))  # type: ignore[attr-defined]  # noqa: S704 — escaped there


def finding_html(evidence: Evidence, base: str | None, *, above: str = "", goes_on: bool = False) -> Markup:
    """Return a finding with its evidence, all of it to be seen at once.

    Args:
        evidence: what was captured.
        base: what stands before the name of a file to make it an address; None where there is none.
        above: the sentence of a diagnosis that is told already.
        goes_on: whether its evidence may still be on its way.
    """
    return Markup(_TEMPLATE.render(found=evidence, base=base, above=above, goes_on=goes_on))  # noqa: S704 — escaped there
