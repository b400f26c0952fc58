"""The address that is told of a finding: what it is sent, how often, and that a run does not depend on it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.stub_runs import run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


@contextmanager
def listening(answers: Sequence[int], heard: list[bytes]) -> Iterator[str]:
    """Yield the address of a server that gives those answers, the last again and again."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(answers[min(len(heard), len(answers)) - 1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/services/very-secret-path"
        server.shutdown()


@pytest.mark.parametrize(
    ("answers", "times", "captured"),
    [((503, 429, 204), 3, "captured"), ((404,), 1, "answered 404"), ((500,), 3, "answered 500")],
    ids=["in the end", "no use", "never"],
)
def test_an_address_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: Sequence[int], times: int, captured: str
) -> None:
    """It is told once, without a secret, and asked again only where that may help; its address stays ours."""
    heard: list[bytes] = []
    with listening(answers, heard) as address:
        monkeypatch.setenv("TOLD_AT", address)
        scenario = write_scenario(
            tmp_path,
            build={"args": {"API_TOKEN": "geheim-{iteration}-geheim"}},
            clients={"1": "hang"},
            webhook="$TOLD_AT",
        )
        code, output, folder = run(scenario, "--trust")
    assert code == 1
    assert "posts each daemon's first finding to $TOLD_AT" in output
    assert folder.read_json("findings/1/captured.json")["webhook"] == captured
    assert len(heard) == times
    told = json.loads(heard[-1])
    assert told["text"].startswith("stubbed: iteration 1 at ")
    assert (told["run"], told["finding"]["kind"]) == (folder.name, "hang")
    assert told["finding"]["args"] == {"API_TOKEN": "<redacted>"}
    assert b"geheim" not in heard[-1]
    assert not [file for file in folder.path.rglob("*") if file.is_file() and b"very-secret" in file.read_bytes()]


@pytest.mark.parametrize(
    ("webhook", "why"), [("http://127.0.0.1:9/x", "cannot be reached: ConnectError"), ("$NOWHERE", "is not set")]
)
def test_nobody_hears(tmp_path: Path, webhook: str, why: str) -> None:
    """An address that nobody answers at is told in the list of what was captured, and changes nothing else."""
    code, _, folder = run(write_scenario(tmp_path, clients={"1": "hang"}, webhook=webhook), "--trust")
    assert code == 1
    assert why in folder.read_json("findings/1/captured.json")["webhook"]
