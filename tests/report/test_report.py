"""`report.html` and `report.md`: what they say is what was recorded, of every kind of run, and without secrets."""

import re
import shutil
from pathlib import Path

import pytest

from harness.cli.commands import report as module
from harness.core.errors import StoreError
from harness.core.outcome import Outcome
from harness.core.records import Iteration
from harness.report.write import write_report
from harness.store.folder import RunFolder
from tests.support.stub_runs import run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")
VALUE = "hunter2hunter2"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with a hang at its third build."""
    build = {"args": {"N": "<b>{iteration}", "NPM_TOKEN": VALUE}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_CACHE", str(tmp_path_factory.mktemp("cache")))
        scenario = write_scenario(tmp_path_factory.mktemp("scenario"), clients={"3": "hang"}, build=build)
        _, _, folder = run(scenario, "--report")
    return folder


@pytest.fixture
def hung(template: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of that run, which a test may damage."""
    return RunFolder(shutil.copytree(template.path, tmp_path / "results" / "stubbed" / template.name))


def shown(folder: RunFolder) -> tuple[str, str]:
    """Return the page without its scripts, and the Markdown."""
    page, text = write_report([folder], folder.path)
    return re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL), text.read_text()


def test_a_run_leaves_its_report(hung: RunFolder) -> None:
    """A run that ends has written both files by itself, and says nothing of it."""
    assert (hung.path / "report.html").stat().st_size < 3_000_000
    assert (hung.path / "report.md").read_text().startswith("# HANG: export hang at iteration 3")


@pytest.mark.parametrize(("options", "written"), [((), {}), (("--no-report",), {"REPRO_REPORT": "yes"})])
def test_a_run_without_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], written: dict[str, str]
) -> None:
    """Where the environment or, over it, an option says so, a run leaves its records and no report."""
    for name, value in {"REPRO_REPORT": "no", **written}.items():
        monkeypatch.setenv(name, value)
    code, output, folder = run(write_scenario(tmp_path), *options)
    assert code == 0, output
    assert (folder.path / "summary.json").exists()
    assert not [*folder.path.glob("report.*")]


def test_the_verdict_stands_first(hung: RunFolder) -> None:
    """Verdict, outcomes, finding, scenario and versions are in both; what is no markup of ours is text."""
    page, text = shown(hung)
    body = page[page.index("<body>") :]
    assert body.index("HANG") < body.index("<dl")
    for said in ("export hang at iteration 3", "the client has not returned", "stubbed", "kernel", "Outcomes"):
        assert said in page
        assert said in text
    assert "<b>3" not in page
    assert "&lt;b&gt;3" in page


def test_nothing_is_fetched(hung: RunFolder) -> None:
    """The page asks no network for anything: no script, style, font or picture by address."""
    page = (hung.path / "report.html").read_text()
    assert not re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=", page)
    assert not re.findall(r"<link[^>]*href=\"(?!data:)", page)
    assert "@import" not in page[: page.index("<script")]


def test_no_secret_is_told(hung: RunFolder) -> None:
    """An argument whose name says that it is secret is in neither file."""
    write_report([hung], hung.path)
    for name in ("report.html", "report.md"):
        assert VALUE not in (hung.path / name).read_text()
    assert VALUE in (hung.path / "scenario.yaml").read_text(), "the run itself keeps it"


def test_a_run_that_died(hung: RunFolder) -> None:
    """Without a summary there is no verdict, and all that was recorded is shown."""
    (hung.path / "summary.json").unlink()
    page, text = shown(hung)
    assert "NO VERDICT" in page
    assert "repro resume" in page
    assert text.startswith("# NO VERDICT: the run died")
    recorded = hung.read(Iteration)
    ok = sum(iteration.outcome is Outcome.OK for iteration in recorded)
    assert f"| ok | {ok} |" in text
    assert "the client has not returned" in page


def test_nothing_recorded(hung: RunFolder) -> None:
    """A run that died before its first build has a report that says so."""
    (hung.path / "summary.json").unlink()
    (hung.path / "run.db").unlink()
    for left in hung.path.glob("run.db-*"):
        left.unlink()
    with hung.database():
        pass
    page, text = shown(hung)
    assert "No iteration is over." in page
    assert "No iteration is over." in text


def test_several_runs_stand_side_by_side(hung: RunFolder, tmp_path: Path) -> None:
    """Of several runs a table comes first, with a column each, then each whole."""
    (tmp_path / "other").mkdir()
    _, _, clean = run(write_scenario(tmp_path / "other"))
    page, _ = write_report([hung, clean], tmp_path / "out")
    told = re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)
    table = told[told.index("side-by-side") : told.index("</table>")]
    assert table.index("HANG") < table.index("CLEAN")
    assert told.count("<section") == 2
    assert 'href="findings/' not in told, "from there it would lead nowhere"
    assert 'href="findings/3/progress.jsonl"' in shown(hung)[0]


def test_a_report_that_fails_changes_nothing(
    hung: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the report cannot be written at the end of a run, that is said, and no error leaves."""

    def fail(*_: object) -> None:
        raise StoreError(hung.path / "report.html", "No space left on device")

    monkeypatch.setattr("harness.report.write.write_report", fail)  # loaded at the end of a run alone
    module.report_at_the_end([hung])
    assert "no report of this run: StoreError" in capsys.readouterr().err
