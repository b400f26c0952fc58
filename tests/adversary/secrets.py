"""Secrets of many forms where a run may have them, through all that leaves: the bundle, the report, the page."""

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.core.files import read_json
from harness.report.bundle import bundle
from harness.report.write import write_report
from tests.adversary.world import Options, Try
from tests.report.redact.samples import samples
from tests.web.client import Client
from tests.web.runs import ended

PLACES = (
    *("daemon/daemon.log", "findings/3/progress.jsonl", "findings/3/info.json", "findings/3/goroutines-0.txt"),
    *("findings/3/cache.db", "dockerfiles/x/Dockerfile", "scenario.yaml", "run.json"),
)


def secrets(options: Options) -> Iterator[Try]:
    """Put every form into every place of a run, and look for it in all that leaves."""
    for place in PLACES:
        given = samples(options.seed)
        with tempfile.TemporaryDirectory(dir=options.place) as folder:
            run = ended(Path(folder) / "results")
            texts = [sample.text for sample in given]
            file = run.path / place
            if place == "run.json":
                written = read_json(file, dict[str, object])
                file.write_text(json.dumps(written | {"argv": ["repro", "run", "s.yaml", *texts]}))
            elif place == "scenario.yaml":
                actors = [{"build": "ci", "args": {f"ARG_{n}": text for n, text in enumerate(texts)}}]
                file.write_text(json.dumps({"name": "s", "actors": actors}))
            elif place.endswith(".db"):
                file.write_bytes(b"\0\1".join(text.encode() for text in texts))
            elif place.startswith("dockerfiles"):
                file.parent.mkdir(parents=True)
                file.write_text("FROM scratch\n" + "".join(f"RUN {text}\n" for text in texts))
                actors = [{"build": "ci", "dockerfile": f"/nowhere/{file.parent.name}"}]
                (run.path / "scenario.yaml").write_text(json.dumps({"name": "s", "actors": actors}))
            elif place.endswith(".json"):
                file.write_text(json.dumps({"labels": texts}))
            else:
                file.write_text("".join(f"{text}\n" for text in texts))
            bundle(run, Path(folder) / "b.tgz")
            write_report([run], Path(folder) / "report")
            client = Client(Path(folder) / "results")
            pages = [f"/runs/s/{run.name}/{name}" for name in ("", "data.json", place)]
            left = {
                "bundle": _unpacked(Path(folder) / "b.tgz"),
                "report": b"".join(each.read_bytes() for each in (Path(folder) / "report").iterdir()),
                "page": b"".join(client.get(page).content for page in pages),
            }
        for where, content in left.items():
            kept = [sample.name for sample in given if sample.secret.encode() in content]
            yield Try(f"{len(given)} forms in {place}, through the {where}", ", ".join(kept))


def _unpacked(archive: Path) -> bytes:
    with tarfile.open(archive) as tar:
        streams = [tar.extractfile(member) or io.BytesIO() for member in tar.getmembers()]
        return b"\n".join(stream.read() for stream in streams)
