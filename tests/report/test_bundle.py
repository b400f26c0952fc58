"""`repro bundle`: one archive with all that a report needs, and nothing that it must not have."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from harness.core.records import Diagnosis
from harness.report import bundle as module
from harness.report.bundle import Unfinished, bundle
from harness.store.find import find_run
from harness.store.folder import RunFolder
from harness.store.folders import LeadsOut, NoPlainFile
from tests.support.stub_runs import last_run, repro, run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")
VALUE = "hunter2hunter2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scenario and a run of it that hung at its third build, with evidence; made once."""
    folder = tmp_path_factory.mktemp("made")
    build = {"args": {"N": "{iteration}", "NPM_TOKEN": VALUE}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_CACHE", str(folder / "cache"))
        _, _, done = run(write_scenario(folder, clients={"3": "hang"}, build=build))
    evidence = done.path / "findings" / "3"
    (evidence / "goroutines-0.txt").write_text("goroutine 1 [select]:\nmain.f()\n\t/x.go:1\n")
    (evidence / "history.db").write_bytes(b"\0" + VALUE.encode())
    (evidence / "cache.db").write_bytes(b"\0\xff binary")
    (done.path / "daemon" / "daemon.log").write_text(f"level=debug msg=solve build-arg:NPM_TOKEN={VALUE}\n")
    return folder


@pytest.fixture
def hung(made: Path, tmp_path: Path) -> RunFolder:
    """A copy of that run, to do anything with."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return last_run(tmp_path / "stubbed.yaml")


def contents(archive: Path) -> dict[str, bytes]:
    """Return the files of an archive, without the folder that all are in."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            stream = tar.extractfile(member)
            assert stream
            found[member.name.partition("/")[2]] = stream.read()
    return found


def test_a_whole_report(hung: RunFolder, tmp_path: Path) -> None:
    """The issue says what was seen, how to see it again, with what versions, and what could not be captured."""
    packed = bundle(hung, tmp_path / "b.tgz")
    found = contents(tmp_path / "b.tgz")
    text = found["ISSUE.md"].decode()
    for said in ("hang at iteration 3", "## Reproduction", "--seed", "kernel", "## Evidence"):
        assert said in text
    assert "Could not be captured" in text
    assert found["goroutines.txt"].startswith(b"1 goroutines in 1 buckets")
    assert found["findings/3/cache.db"] == b"\0\xff binary", "what is no text is not touched"
    assert "dockerfiles/one/Dockerfile" in found
    assert b"dockerfile: one\n" in found["stubbed.yaml"]
    assert list(packed.omitted) == ["findings/3/history.db"]
    assert packed.binary == ["findings/3/cache.db"]
    assert packed.kept == ["N"]


def minimized(run: RunFolder, name: str, made_from: object, *, script: str = "#!/bin/bash\nbuild\n") -> None:
    """Lay the folder of a minimization beside a run, as `repro minimize` leaves it."""
    result = run.path.parent / f"minimize-{name}" / "result"
    (result / "dockerfiles" / "first").mkdir(parents=True)
    (result.parent / "begun.json").write_text(json.dumps({"asked": {"run": made_from}, "seed": 1}))
    (result / "dockerfiles" / "first" / "Dockerfile").write_text("FROM scratch\n")
    (result / "scenario.yaml").write_text(f"name: {name}\nargs: {VALUE}\n")
    if script:
        (result / "reproduce.sh").write_text(f"{script}# {name} {VALUE}\n")
    (result / "RATE.md").write_text(f"# How often\n\n10 of 10 ({name})\n")


def test_minimized_reproducer_comes_first(hung: RunFolder, tmp_path: Path) -> None:
    """The newest that was made from this very run is in the archive, and the issue shows its script before the run."""
    minimized(hung, "20260101T000000Z-0001", hung.path.name)
    minimized(hung, "20260101T000000Z-0002", hung.path.name)
    minimized(hung, "20260101T000000Z-0003", "20250101T000000Z-ffff")
    minimized(hung, "20260101T000000Z-0004", None)
    minimized(hung, "20260101T000000Z-0005", hung.path.name)
    (hung.path.parent / "minimize-20260101T000000Z-0005" / "result" / "RATE.md").unlink()
    bundle(hung, tmp_path / "b.tgz")
    found = contents(tmp_path / "b.tgz")
    text = found["ISSUE.md"].decode()
    assert "10 of 10 (20260101T000000Z-0002)" in text
    assert text.index("## Reproduction") < text.index("#!/bin/bash") < text.index("repro run stubbed.yaml")
    assert not any(f"-000{other}" in text for other in (1, 3, 4, 5))
    assert {name for name in found if name.startswith("reproducer/")} == {
        "reproducer/RATE.md",
        "reproducer/reproduce.sh",
        "reproducer/scenario.yaml",
        "reproducer/dockerfiles/first/Dockerfile",
    }
    assert not [name for name, content in found.items() if VALUE.encode() in content]


def test_minimized_reproducer_without_a_script(hung: RunFolder, tmp_path: Path) -> None:
    """Where the smallest case has no form as a script, the issue shows its scenario."""
    minimized(hung, "20260101T000000Z-0001", hung.path.name, script="")
    bundle(hung, tmp_path / "b.tgz")
    text = contents(tmp_path / "b.tgz")["ISSUE.md"].decode()
    assert text.index("repro run reproducer/scenario.yaml") < text.index("name: 20260101T000000Z-0001")


def test_no_secret_leaves(hung: RunFolder, tmp_path: Path) -> None:
    """An argument whose name says that it is secret is in no file of the archive, whatever prints it."""
    bundle(hung, tmp_path / "b.tgz")
    assert not [name for name, content in contents(tmp_path / "b.tgz").items() if VALUE.encode() in content]
    assert VALUE in (hung.path / "scenario.yaml").read_text(), "the run itself keeps it"


def test_what_was_taken_out_is_said(hung: RunFolder, tmp_path: Path) -> None:
    """The text to send, and who packs it, say what kinds of secrets were taken out, and how many of each."""
    packed = bundle(hung, tmp_path / "b.tgz")
    text = contents(tmp_path / "b.tgz")["ISSUE.md"].decode()
    said = [f"{kind} {count}" for kind, count in packed.taken.items()]
    assert said
    assert f"Taken out as secrets: {', '.join(said)}." in text
    assert "overwritten: `findings/3/cache.db`" in text
    told = repro("bundle", str(hung.path), "-o", str(tmp_path / "c.tgz")).stdout
    assert f"taken out: {', '.join(said)}" in told
    assert "findings/3/cache.db" in told
    assert "--with-databases" in told


def test_databases_go_only_when_asked(hung: RunFolder, tmp_path: Path) -> None:
    """What holds arguments and commands in unknown forms goes only on demand, with what is known gone."""
    (hung.path / "findings" / "3" / "metadata_v2.db").write_bytes(b"\0key " + VALUE.encode() + b" \0")
    assert "findings/3/metadata_v2.db" in bundle(hung, tmp_path / "b.tgz").omitted
    packed = bundle(hung, tmp_path / "c.tgz", databases=True)
    assert not packed.omitted
    assert contents(tmp_path / "c.tgz")["findings/3/metadata_v2.db"] == b"\0key " + b"*" * len(VALUE) + b" \0"


def test_a_secret_under_any_name(hung: RunFolder, tmp_path: Path) -> None:
    """An argument that the user names is taken out as well, though its name says nothing."""
    written = yaml.safe_load((hung.path / "scenario.yaml").read_text())
    written["actors"][0]["args"]["DEPLOY"] = "plain-words"
    (hung.path / "scenario.yaml").write_text(yaml.safe_dump(written))
    (hung.path / "daemon" / "daemon.log").write_text("level=debug msg=plain-words\n")
    bundle(hung, tmp_path / "b.tgz", hidden=["DEPLOY"])
    assert not [name for name, content in contents(tmp_path / "b.tgz").items() if b"plain-words" in content]


@pytest.mark.parametrize("inside", ["", "one"])
def test_no_folder_of_this_host(hung: RunFolder, tmp_path: Path, inside: str) -> None:
    """A received scenario that names a folder of this host, the home or one beside a scenario, takes nothing along."""
    private = tmp_path / "home" / "me" / inside
    private.mkdir(parents=True)
    (private / "Dockerfile").write_text("FROM scratch\n")
    (private / "id_rsa").write_text("private")
    written = yaml.safe_load((hung.path / "scenario.yaml").read_text())
    written["actors"][0]["dockerfile"] = str(private)
    (hung.path / "scenario.yaml").write_text(yaml.safe_dump(written))
    shutil.rmtree(hung.path / "dockerfiles")
    omitted = bundle(hung, tmp_path / "b.tgz").omitted
    assert str(private) in omitted[f"dockerfiles/{private.name}"]
    assert not [name for name in contents(tmp_path / "b.tgz") if name.startswith("dockerfiles/")]


def test_what_was_built(hung: RunFolder, made: Path, tmp_path: Path) -> None:
    """The Dockerfile in the archive is the one that was built, though its folder has changed or gone since."""
    shutil.rmtree(made / "dockerfiles", ignore_errors=True)
    bundle(hung, tmp_path / "b.tgz")
    assert contents(tmp_path / "b.tgz")["dockerfiles/one/Dockerfile"] == b"FROM scratch\n"


def test_named_contexts(hung: RunFolder, tmp_path: Path) -> None:
    """The copy of a named context's folder goes along, and the scenario in the archive names it there."""
    written = yaml.safe_load((hung.path / "scenario.yaml").read_text())
    written["actors"][0]["contexts"] = {"lib": str(tmp_path / "gone" / "lib"), "other": "docker-image://alpine:3.22"}
    (hung.path / "scenario.yaml").write_text(yaml.safe_dump(written))
    (hung.path / "dockerfiles" / "lib").mkdir()
    (hung.path / "dockerfiles" / "lib" / "data").write_text("1\n")
    bundle(hung, tmp_path / "b.tgz")
    found = contents(tmp_path / "b.tgz")
    assert found["dockerfiles/lib/data"] == b"1\n"
    actors = yaml.safe_load(found["stubbed.yaml"])["actors"]
    assert actors[0]["contexts"] == {"lib": "lib", "other": "docker-image://alpine:3.22"}


def test_foreign_names(hung: RunFolder, tmp_path: Path) -> None:
    """Whatever a folder among the findings is called, the rest is packed, and that too."""
    for name in ("notes", "²", "9" * 200, "-1"):
        (hung.path / "findings" / name).mkdir()
        (hung.path / "findings" / name / "x.txt").write_text("seen\n")
    bundle(hung, tmp_path / "b.tgz")
    assert {"findings/notes/x.txt", "findings/²/x.txt"} <= contents(tmp_path / "b.tgz").keys()


def test_it_can_be_attached(hung: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is left out, and named with its size; what matters most comes first."""
    monkeypatch.setattr(module, "_ROOM", 20_000)
    (hung.path / "findings" / "3" / "zzz.bin").write_bytes(b"\0" + os.urandom(50_000))
    omitted = bundle(hung, tmp_path / "b.tgz").omitted
    assert "for which there was no room" in omitted["findings/3/zzz.bin"]
    assert "findings/3/zzz.bin" in contents(tmp_path / "b.tgz")["ISSUE.md"].decode()
    assert (tmp_path / "b.tgz").stat().st_size < 25_000


def test_the_reproducer_runs(hung: RunFolder, tmp_path: Path) -> None:
    """The scenario in the archive runs from the unpacked folder, with its own Dockerfile."""
    bundle(hung, tmp_path / "b.tgz")
    with tarfile.open(tmp_path / "b.tgz") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    (scenario,) = (tmp_path / "unpacked").glob("*/stubbed.yaml")
    words = [sys.executable, "-m", "harness", "run", str(scenario), "--results", str(tmp_path / "again")]
    assert subprocess.run(words, check=False, capture_output=True, timeout=180).returncode == 1


def test_a_run_without_a_verdict(hung: RunFolder, tmp_path: Path) -> None:
    """A run that died has nothing to hand over."""
    (hung.path / "summary.json").unlink()
    with pytest.raises(Unfinished, match="no summary"):
        bundle(hung, tmp_path / "b.tgz")


@pytest.mark.parametrize(("link", "target"), [("findings/3/shadow.txt", "/etc/shadow"), ("findings/4", "/etc")])
def test_links_out_of_a_run(hung: RunFolder, tmp_path: Path, link: str, target: str) -> None:
    """A symbolic link that leads out of a received run's folder is named, and nothing of the host is packed."""
    (hung.path / link).symlink_to(target)
    with pytest.raises(LeadsOut, match="symbolic link out of its folder"):
        bundle(hung, tmp_path / "x.tgz")
    with pytest.raises(LeadsOut):
        find_run(str(hung.path), tmp_path)
    (hung.path / link).unlink()
    (hung.path / "findings" / "3" / "inside.txt").symlink_to(hung.path / "run.json")
    bundle(hung, tmp_path / "x.tgz")


def test_what_is_no_file(hung: RunFolder, tmp_path: Path) -> None:
    """A pipe in a received run's folder is named, before anybody waits for what comes out of it."""
    os.mkfifo(hung.path / "findings" / "3" / "goroutines-9.txt")
    with pytest.raises(NoPlainFile, match=r"goroutines-9.txt: is a pipe, a socket or a device"):
        bundle(hung, tmp_path / "x.tgz")
    with pytest.raises(NoPlainFile):
        find_run(str(hung.path), tmp_path)


def test_files_without_an_end(hung: RunFolder, tmp_path: Path) -> None:
    """Files of a terabyte, of which a disk has nothing, are left out, and named with their sizes' limits."""
    for name in ("summary.json", "run.json", "scenario.yaml", "findings/3/info.json"):
        (hung.path / name).touch()
        os.truncate(hung.path / name, 2**40)
    packed = bundle(hung, tmp_path / "x.tgz")
    assert packed.omitted["findings/3/info.json"] == "it is larger than the 256 MB that are looked through"
    assert any("1,099,511,627,776 bytes" in each for each in packed.damaged)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *((name, b"{") for name in ("summary.json", "run.json", "findings/3/captured.json", "findings/3/steps.json")),
        ("run.db", b"SQLite format 3\0" + b"\xff" * 4000),
        ("scenario.yaml", b"actors:\n- build: ci\n  args: {N: '3', NPM_TOKEN: hunter2hunter2\n   : [\n"),
    ],
)
def test_a_damaged_file_costs_that_file(hung: RunFolder, tmp_path: Path, file: str, content: bytes) -> None:
    """The archive has all the rest; what is damaged is named in the issue and by the command, and hides no secret."""
    (hung.path / file).write_bytes(content)
    packed = bundle(hung, tmp_path / "b.tgz")
    found = contents(tmp_path / "b.tgz")
    issue = found["ISSUE.md"].decode()
    if file != "findings/3/steps.json":  # of which the explanation says itself what it lacks
        assert [each for each in packed.damaged if file not in each] == []
        assert f"## Damaged\n\n- {file}: " in issue
    assert {"findings/3/goroutines-0.txt", "daemon/daemon.log", "goroutines.txt"} <= {*found}
    assert [name for name, each in found.items() if VALUE.encode() in each] == []
    assert ("came to a hang" in issue) is (file != "run.db")


def test_a_run_of_which_nothing_can_be_read(hung: RunFolder, tmp_path: Path) -> None:
    """Also then what there is of evidence goes into an archive, and the command says what is missing."""
    for name in ("summary.json", "run.json", "run.db", "scenario.yaml", "findings/3/captured.json"):
        (hung.path / name).write_bytes(b"\xff\0")
    done = repro("bundle", str(hung.path), "-o", str(tmp_path / "b.tgz"))
    assert done.returncode == 255
    assert done.stderr.count("; what stood there is missing\n") == 5
    assert "findings/3/goroutines-0.txt" in contents(tmp_path / "b.tgz")


def test_a_damaged_capture(hung: RunFolder, tmp_path: Path) -> None:
    """A capture without its `daemon.json` is packed as well."""
    evidence = hung.path / "findings" / "3"
    (evidence / "daemon.json").write_text("[]")
    packed = module.bundle_capture(evidence, tmp_path / "b.tgz")
    [problem] = packed.damaged
    assert problem.startswith(f"{evidence}/daemon.json: is damaged")
    issue = contents(tmp_path / "b.tgz")["ISSUE.md"].decode()
    assert "## Damaged\n\n- daemon.json: is damaged" in issue
    assert "Not known, for `daemon.json` is damaged." in issue


def test_the_text_is_beside_the_archive(hung: RunFolder, tmp_path: Path) -> None:
    """What is to be sent can be read without unpacking: the same text as in the archive."""
    bundle(hung, tmp_path / "b.tgz")
    assert (tmp_path / "b.ISSUE.md").read_bytes() == contents(tmp_path / "b.tgz")["ISSUE.md"]
    told = repro("bundle", str(hung.path), "-o", str(tmp_path / "c.tgz"))
    assert f"{tmp_path}/c.ISSUE.md  its text, to read before it is sent" in told.stdout


@pytest.mark.parametrize(
    ("spec", "kind", "version", "said"),
    [
        ("path:/home/me/x", "buildkitd", "v0.23.2", "--daemon buildkit:v0.23.2 --seed"),
        ("host", "dockerd", "28.3.3", "--daemon docker:28.3.3 --seed"),
        (
            "path:/x",
            "dockerd",
            "26.1.5+dfsg1",
            "docker:26.1.5 .*\n\nThat is upstream's; it was seen on dockerd",
        ),
        (
            "path:/x",
            "buildkitd",
            "v0.23.0-42-g0123abc",
            "path:DIR .*\n\nDIR is a folder with the programs of b",
        ),
        ("debian:trixie", "dockerd", "26.1.5+dfsg1", "--daemon debian:trixie --seed"),
        ("image:moby/buildkit:v0.24.0", "buildkitd", "v0.24.0", "--daemon image:moby/buildkit:v0.24.0 --seed"),
    ],
)
def test_others_can_have_the_daemon(
    hung: RunFolder, tmp_path: Path, spec: str, kind: str, version: str, said: str
) -> None:
    """The line that reproduces names a release or an image, never a place on this host."""
    manifest = hung.read_json("run.json")
    manifest["toolchain"]["spec"] = spec
    manifest["daemon"] |= {"kind": kind, "version": version}
    hung.write_json("run.json", manifest)
    bundle(hung, tmp_path / "b.tgz")
    text = (tmp_path / "b.ISSUE.md").read_text()
    assert re.search(said, text)
    assert "--daemon path:/" not in text


def test_what_is_known_needs_no_report(hung: RunFolder, tmp_path: Path) -> None:
    """A hang that a release has fixed says so before all else; seen in a release with the fix, it is to be reported."""
    known = Diagnosis(
        kind="livelock",
        because="",
        signature="export-livelock",
        known=True,
        fixed_in={"BuildKit": "v0.25.0"},
        link="https://github.com/moby/buildkit/issues/6209",
        sentence="livelock",
        goroutines=(),
        frames=(),
    )
    summary = hung.read_json("summary.json")
    for version, said in {
        "v0.23.2": "known, fixed in BuildKit v0.25.0: upgrade, no report is needed",
        "v0.25.1": "known, said to be fixed in BuildKit v0.25.0, and seen in BuildKit v0.25.1 all the same: report it",
    }.items():
        daemon = {"kind": "buildkitd", "version": version, "toolchain": "path:/x"}
        hung.write_json("summary.json", summary | {"diagnosis": asdict(known), "daemon": daemon})
        assert bundle(hung, tmp_path / "b.tgz").advice == f"{said}; {known.link}"
        line = (tmp_path / "b.ISSUE.md").read_text().splitlines()[2]
        assert line == f"> **K{said[1:]}.** {known.link}"
