"""What is sent to a host, and what comes back: whole, and never out of its folder."""

import io
import tarfile
from pathlib import Path

import pytest

from harness.cli.kinds import VOCABULARY
from harness.experiments.fleet.job import SCENARIO, StaysHere, Unpackable, pack, unpack, write_case
from harness.scenario import load
from tests.support.stub_runs import write_scenario


def test_a_case_runs_wherever_it_is(tmp_path: Path) -> None:
    """A scenario that was packed is the same one where it is laid out, with the Dockerfiles there, links followed."""
    here = load(write_scenario(tmp_path), VOCABULARY)
    (tmp_path / "dockerfiles" / "one" / "linked").symlink_to(tmp_path / "stubbed.yaml")
    (tmp_path / "case").mkdir()
    write_case(here, tmp_path / "case")
    packed = pack(tmp_path / "case")
    unpack(packed, tmp_path / "there")
    there = load(tmp_path / "there" / SCENARIO, VOCABULARY)
    assert there.actors[0].model_copy(update={"dockerfile": None}) == here.actors[0].model_copy(
        update={"dockerfile": None}
    )
    laid = tmp_path / "there" / "dockerfiles" / "one"
    assert (laid / "Dockerfile").read_text() == "FROM scratch\n"
    assert not (laid / "linked").is_symlink()
    assert (laid / "linked").read_text() == (tmp_path / "stubbed.yaml").read_text()


def test_what_only_this_host_has_is_refused(tmp_path: Path) -> None:
    """An image in a file of this host is not there elsewhere, which is said before anything is sent."""
    setting = ("daemon.image=/here/image.tar", "daemon.driver=docker-container", "daemon.kind=dockerd")
    scenario = load(write_scenario(tmp_path), VOCABULARY, (*setting, "daemon.config={}"))
    with pytest.raises(StaysHere, match="name one of a registry"):
        write_case(scenario, tmp_path)


@pytest.mark.parametrize("kind", ["above", "absolute", "link", "damaged"])
def test_nothing_leads_out(tmp_path: Path, kind: str) -> None:
    """What a host sends cannot write elsewhere, whatever it is; what is damaged is said to be."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        name = {"above": "../out", "absolute": str(tmp_path / "out")}.get(kind, "link")
        member = tarfile.TarInfo(name)
        if kind == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "../../etc"
        tar.addfile(member)
    sent = packed.getvalue()[: 20 if kind == "damaged" else None]
    if kind == "absolute":  # the leading slash is taken off, as tar does
        unpack(sent, tmp_path / "in")
    else:
        with pytest.raises(Unpackable):
            unpack(sent, tmp_path / "in")
    assert not (tmp_path / "out").exists()
