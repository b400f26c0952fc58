"""What was captured, read from its folder: also where a file of it is damaged."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import StoreError
from harness.store.evidence import EvidenceFolder

DUMPS = Path(__file__).parents[1] / "data" / "goroutines"
DAEMON = {"kind": "buildkitd", "version": "v0.23.2"}


@pytest.fixture
def hung(tmp_path: Path) -> EvidenceFolder:
    """The dumps of a daemon that hung."""
    for number in range(3):
        shutil.copy(DUMPS / f"hang-buildkitd-v0.23.2-{number}.txt", tmp_path / f"goroutines-{number}.txt")
    return EvidenceFolder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\0" * 400, b"[]", b'{"cores": "many"}', b'{"threads": [1]}', b'{"pid": 1'])
def test_a_damaged_process_file(hung: EvidenceFolder, content: bytes) -> None:
    """An empty or damaged `process.json`, as a power cut leaves it, costs what it said, and not the diagnosis."""
    (hung.path / "process.json").write_bytes(content)
    (hung.path / "goroutines-3.txt").mkdir()
    found = hung.write_diagnosis(DAEMON)
    assert found is not None
    assert found.signature == "export-livelock"


def test_a_diagnosis_is_made_once(hung: EvidenceFolder) -> None:
    """Whoever shows a finding reads the diagnosis that was made at it; of an earlier version's run it is made then."""
    made = hung.diagnosis(DAEMON)
    assert made is not None
    assert not (hung.path / "diagnosis.json").exists(), "who only shows a run writes nothing into it"
    hung.write_json("diagnosis.json", replace(made, sentence="as it was kept"))
    assert hung.diagnosis(DAEMON) == replace(made, sentence="as it was kept")
    (hung.path / "diagnosis.json").write_text("{}")
    with pytest.raises(StoreError, match=r"diagnosis\.json: is damaged: kind: field required"):
        hung.diagnosis(DAEMON)


def test_what_became_of_each_kind(hung: EvidenceFolder) -> None:
    """`captured.json` comes back, and is empty before it is written."""
    assert hung.captured() == {}
    hung.write_captured({"process": "captured", "info": "timed out"})
    assert hung.captured() == {"process": "captured", "info": "timed out"}
