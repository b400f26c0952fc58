"""The page: every run is told, whatever state it is in; nothing is written, and nothing but runs is read."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from harness.core.outcome import Outcome
from harness.core.records import Iteration
from harness.store.folder import RunFolder
from harness.web import cached_answer
from tests.support.eventually import eventually
from tests.web.client import Client
from tests.web.runs import ended, going_on, recorded

TOKEN = "0123456789abcdef-token"  # noqa: S105 — a test's


def url(folder: RunFolder, rest: str = "") -> str:
    """Return where a run's page is, or something below it."""
    return f"/runs/{folder.path.parent.name}/{folder.name}/{rest}"


def data(page: Client, folder: RunFolder) -> dict[str, Any]:
    """Return a run's data."""
    answer = page.get(url(folder, "data.json"))
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def test_no_results(tmp_path: Path) -> None:
    """Where there is no run, and no folder for them, the page says so."""
    answer = Client(tmp_path / "nowhere").get("/")
    assert answer.status_code == 200
    assert "There is no run below" in answer.text


def test_the_list(tmp_path: Path) -> None:
    """Runs are told newest first, with their verdict or how they stand, iterations and first hang."""
    first = ended(tmp_path, "one")
    with going_on(tmp_path) as going:
        text = Client(tmp_path).get("/").text
    died = Client(tmp_path).get("/").text
    rows = re.findall(r'<tr data-run="(\S+)/(\S+)".* data-state="(.*?)"', text)
    told = sorted([("one", first.name, "HANG"), ("s", going.name, "GOES ON")], key=lambda row: row[1], reverse=True)
    assert rows == told
    assert 'data-state="DIED"' in died
    assert text.count('data-label="builds">3<') == 2
    assert text.count('data-label="first hang">3<') == 2


def test_a_run_is_told_as_recorded(tmp_path: Path) -> None:
    """The data of a run has its verdict, its outcomes, its samples, its acts, and its findings with their evidence."""
    folder = ended(tmp_path)
    told = data(Client(tmp_path), folder)
    assert (told["verdict"], told["state"], told["problem"]) == ("HANG", "ended", "")
    assert told["outcomes"] == {"ok": 1, "timed_out": 1, "hang": 1}
    columns = told["columns"]
    assert sum(columns["outcomes"]["ok"]) == 1
    assert columns["goroutines"]["most"] == [70, 76]
    assert columns["acts"]["actor"] == ["loop"]
    assert columns["findings"]["iteration"] == [3]
    [found] = told["findings"]
    assert "1 of 2 kinds captured, 4 files" in found
    assert re.findall(r'href="(.*?)"', found) == [
        f"findings/3/{name}" for name in ("cache.db", "captured.json", "page.html", "progress.jsonl")
    ]
    assert "geheim" not in json.dumps(told)


def test_a_run_that_goes_on_moves(tmp_path: Path) -> None:
    """What is recorded meanwhile is in the data that is asked for later; unchanged data is not sent again."""
    with going_on(tmp_path) as folder:
        page = Client(tmp_path)
        first = page.get(url(folder, "data.json"))
        assert first.json()["state"] == "goes on"
        again = page.get(url(folder, "data.json"), headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        with folder.database() as database:
            database.add(Iteration(4, "ci", {}, Outcome.OK, 4.0, None, None, 4.5, 4.75, None, 0))
        seen = first

        def moved() -> bool:
            nonlocal seen
            seen = page.get(url(folder, "data.json"))
            return bool(seen.json()["outcomes"]["ok"] == 2)

        assert eventually(moved)
        assert seen.headers["etag"] != first.headers["etag"]
    assert data(Client(tmp_path), folder)["state"] == "died"


def test_the_end_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However lately a run was looked at, its end is not held back."""
    with going_on(tmp_path) as folder:
        page = Client(tmp_path)
        assert data(page, folder)["state"] == "goes on"
    other = ended(tmp_path / "other")
    (other.path / "summary.json").replace(folder.path / "summary.json")
    monkeypatch.setattr(cached_answer, "_LOOK", 0.0)
    assert eventually(lambda: data(page, folder)["state"] == "ended")
    assert data(page, folder)["verdict"] == "HANG"


def cut(folder: RunFolder) -> None:
    """Overwrite the middle of the database."""
    database = folder.path / "run.db"
    content = bytearray(database.read_bytes())
    content[len(content) // 8 :] = b"\xff" * (len(content) - len(content) // 8)
    database.write_bytes(content)


DAMAGES: list[tuple[str, Callable[[RunFolder], object]]] = [
    ("database", cut),
    ("no database at all", lambda folder: (folder.path / "run.db").write_text("no database")),
    ("empty database", lambda folder: (folder.path / "run.db").write_bytes(b"")),
    ("manifest", lambda folder: (folder.path / "run.json").write_text("{")),
    ("manifest without its pid", lambda folder: (folder.path / "run.json").write_text("{}")),
    ("manifest that is a list", lambda folder: (folder.path / "run.json").write_text("[]")),
    ("summary", lambda folder: (folder.path / "summary.json").write_text("{}")),
    ("scenario", lambda folder: (folder.path / "scenario.yaml").write_text("a: [")),
    ("evidence", lambda folder: (folder.path / "findings" / "3" / "captured.json").write_text("{")),
]


@pytest.mark.parametrize(("damage"), [damage for _, damage in DAMAGES], ids=[name for name, _ in DAMAGES])
def test_damage_is_told(tmp_path: Path, damage: Callable[[RunFolder], object]) -> None:
    """Of a run whose files are damaged the page says which, and stays; other runs are told as ever."""
    folder, other = ended(tmp_path), ended(tmp_path, "other")
    damage(folder)
    page = Client(tmp_path)
    index, run = page.get("/"), page.get(url(folder))
    assert (index.status_code, run.status_code) == (200, 200)
    told = data(page, folder)
    assert told["verdict"] == "DAMAGED" or re.search("run.db|cannot be read|is damaged", str(told))
    assert data(page, other)["problem"] == ""
    assert page.get("/metrics").status_code == 200


def test_before_and_after_nothing(tmp_path: Path) -> None:
    """A run without any record is being prepared while it goes on, and died before its first iteration otherwise."""
    folder = recorded(tmp_path)
    (folder.path / "run.db").unlink()
    with folder.locked():
        assert "being prepared" in data(Client(tmp_path), folder)["problem"]
    assert "before its first iteration" in data(Client(tmp_path), folder)["problem"]
    assert Client(tmp_path).get("/").status_code == 200


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Neither the list, nor a page, its data, or a file of the evidence shows what the scenario says is secret."""
    folder = ended(tmp_path)
    summary = folder.read_json("summary.json")
    folder.write_json("summary.json", summary | {"because": "failed with geheim-geheim"})
    here = folder.path / "findings" / "3"
    (here / "daemon.log").write_text("got geheim-geheim, \0 DB_PASSWORD=hunter2\n")
    (here / "metadata_v2.db").write_bytes(b"\0geheim-geheim")
    page = Client(tmp_path)
    answers = [page.get(path) for path in ("/", url(folder), url(folder, "data.json"))]
    answers += [
        page.get(url(folder, f"findings/3/{name}")) for name in ("captured.json", "daemon.log", "metadata_v2.db")
    ]
    assert [each.status_code for each in answers] == [200, 200, 200, 200, 200, 403]
    assert "<redacted>" in answers[2].text
    assert not [each.text for each in answers if "geheim-geheim" in each.text or "hunter2" in each.text]


def test_evidence_is_served_as_what_it_is(tmp_path: Path) -> None:
    """Text is shown, all else is downloaded, and no script of it reaches the site."""
    folder = ended(tmp_path)
    page = Client(tmp_path)
    text, binary, html = (
        page.get(url(folder, f"findings/3/{name}")) for name in ("progress.jsonl", "cache.db", "page.html")
    )
    assert text.headers["content-type"].startswith("text/plain")
    assert text.text == '{"vertexes": []}\n'
    assert binary.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in html.headers["content-security-policy"]
    assert {each.headers["x-content-type-options"] for each in (text, binary, html)} == {"nosniff"}


@pytest.mark.parametrize(
    "path",
    [
        "../run.json",
        "../../run.json",
        "..%2frun.json",
        "%2e%2e/run.json",
        "/etc/passwd",
        "3/../../run.db",
        "3",
        "x%00",
        "a" * 5000,
    ],
)
def test_nothing_but_evidence(tmp_path: Path, path: str) -> None:
    """No path leads out of a run's findings, however it is written."""
    folder = ended(tmp_path)
    assert Client(tmp_path).get(url(folder, "findings/") + path).status_code in (307, 404)
    assert Client(tmp_path).get(url(folder, "findings/") + quote(path, safe="")).status_code == 404


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    """A link in the evidence to what lies outside of it is not followed."""
    folder = ended(tmp_path / "results")
    (tmp_path / "secret.txt").write_text("secret")
    (folder.path / "findings" / "3" / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert Client(tmp_path / "results").get(url(folder, "findings/3/link.txt")).status_code == 404


def test_a_folder_that_is_a_link(tmp_path: Path) -> None:
    """Findings that are a link to the host's files serve none of them."""
    folder = ended(tmp_path / "results")
    (folder.path / "findings").rename(tmp_path / "elsewhere")
    (folder.path / "findings").symlink_to("/")
    for name in ("etc/hostname", "etc/passwd"):
        assert Client(tmp_path / "results").get(url(folder, f"findings/{name}")).status_code == 404


@pytest.mark.parametrize("name", ["..", "%2e%2e", "s", "nothing", "*", "x%2F..%2F", "a" * 5000])
def test_only_runs_that_are_listed(tmp_path: Path, name: str) -> None:
    """A run is found by its name alone; what is no name of one is not found."""
    ended(tmp_path)
    for rest in ("", "data.json", "findings/3/captured.json", "report.html"):
        assert Client(tmp_path).get(f"/runs/s/{name}/{rest}").status_code in (307, 404)


@pytest.mark.parametrize("headers", [{"Origin": "http://["}, {"Host": "["}, {"Host": "[", "Origin": "http://["}])
def test_addresses_that_are_none(tmp_path: Path, headers: dict[str, str]) -> None:
    """What names no address is refused like any other name that is not ours, also where others may look."""
    page = Client(tmp_path, token="a-token-that-is-long-enough", host="0.0.0.0")  # noqa: S104, S106 — named, not used
    asked = {"Accept": "text/html"} | headers
    assert page.get("/", headers=asked).status_code == 401
    assert page.request("POST", "/login", data={"token": page.keys.token}, headers=asked).status_code in {303, 401}
    bearer = {"Authorization": f"Bearer {page.keys.token}"}
    assert page.get("/", headers=asked | bearer).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_read(tmp_path: Path, method: str) -> None:
    """Nothing can be sent."""
    folder = ended(tmp_path)
    page = Client(tmp_path)
    headers = {"Authorization": f"Bearer {page.keys.token}"}
    for path in ("/", "/metrics", url(folder), url(folder, "data.json"), url(folder, "findings/3/cache.db")):
        assert Client(tmp_path).request(method, path).status_code == 401
        assert page.request(method, path, headers=headers).status_code == 405


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    """Whoever looks at a run leaves its files as they were."""
    folder = ended(tmp_path)

    def files() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in folder.path.rglob("*") if file.is_file()}

    before, page = files(), Client(tmp_path)
    for path in ("/", "/metrics", url(folder), url(folder, "data.json")):
        page.get(path)
    assert files() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8321", "[::1]:8321"])
def test_names_of_the_loopback(tmp_path: Path, host: str) -> None:
    """On the loopback, it answers to the loopback's names."""
    assert Client(tmp_path).get("/", headers={"Host": host}).status_code == 200


def test_another_address_of_the_loopback(tmp_path: Path) -> None:
    """Where it listens at 127.0.0.2, as it prints, it answers to that; to other names it does not."""
    page = Client(tmp_path, host="127.0.0.2")
    answers = [page.get("/", headers={"Host": f"{host}:8321"}).status_code for host in ("127.0.0.2", "127.0.0.3")]
    assert answers == [200, 400]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8321", ""])
def test_no_other_name(tmp_path: Path, host: str) -> None:
    """On the loopback, a page elsewhere whose name leads here reads nothing (DNS rebinding)."""
    assert Client(tmp_path).get("/", headers={"Host": host}).status_code == 400


def test_nothing_without_the_token(tmp_path: Path) -> None:
    """Where a token is asked for, nothing is told without it, nor with another; nor does an address have it."""
    folder = ended(tmp_path)
    page = Client(tmp_path, token=TOKEN)
    for path in ("/", "/metrics", "/static/live.js", url(folder), url(folder, "data.json"), "/nothing"):
        assert page.get(path).status_code == 401
        assert page.get(path, params={"token": TOKEN}).status_code == 401
        assert page.get(path, headers={"Authorization": "Bearer x"}).status_code == 401
        assert page.get(path, headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
        assert "geheim" not in page.get(path).text


def test_a_browser_gets_a_form(tmp_path: Path) -> None:
    """A browser without the token gets a form; the right token in it leads to where it wanted to go."""
    page = Client(tmp_path, token=TOKEN)
    asked = page.get("/metrics", headers={"Accept": "text/html"})
    assert (asked.status_code, "<form" in asked.text, 'value="/metrics"' in asked.text) == (401, True, True)
    assert page.post("/login", token=TOKEN[:-1], next="/metrics").status_code == 401
    answer = page.post("/login", token=TOKEN, next="/metrics")
    assert (answer.status_code, answer.headers["location"]) == (303, "/metrics")
    attributes = answer.headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert TOKEN not in attributes
    assert page.get("/metrics").status_code == 200


def test_a_code_works_once(tmp_path: Path) -> None:
    """The address that is printed lets in the first who opens it, and nobody after."""
    first = Client(tmp_path, token=TOKEN)
    again = first.get("/login", params={"code": "x"})
    assert again.status_code == 401
    assert first.get("/login", params={"code": first.keys.code}).status_code == 303
    assert first.get("/").status_code == 200
    assert first.get("/login", params={"code": first.keys.code}).status_code == 401


def test_the_token_as_a_bearer(tmp_path: Path) -> None:
    """Prometheus says the token as a bearer."""
    page = Client(tmp_path, token=TOKEN)
    assert page.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("next_", ["//evil.example/", "https://evil.example/", "/\\evil.example", "\\/evil.example"])
def test_a_login_stays_here(tmp_path: Path, next_: str) -> None:
    """Whatever a form says where to go next, it is here."""
    location = Client(tmp_path, token=TOKEN).post("/login", token=TOKEN, next=next_).headers["location"]
    assert location.startswith("/")
    assert location[1] not in "/\\"


def test_looking_is_free_and_acting_is_not(tmp_path: Path) -> None:
    """On the loopback all may look; nothing is done for who has no token, no form of ours, or comes from elsewhere."""
    page = Client(tmp_path)
    assert page.get("/").status_code == 200
    assert page.post("/runs/start").status_code == 401
    page.log_in()
    known = page.post("/runs/start").status_code
    assert known not in {401, 403}
    csrf = page.keys.csrf
    for origin, form in (("http://127.0.0.1:9999", csrf), ("null", csrf), ("http://127.0.0.1:8321", "x")):
        answer = page.request("POST", "/runs/start", data={"csrf": form}, headers={"Origin": origin})
        assert answer.status_code == 403
    bearer = {"Authorization": f"Bearer {page.keys.token}"}
    assert Client(tmp_path).request("POST", "/", headers=bearer).status_code == 401
    assert page.request("POST", "/", headers=bearer).status_code == 405
