"""``git:``: which commits of a real repository are candidates, and what is said of ends that are none."""

from pathlib import Path

import pytest

from harness.experiments.bisect.candidates import Options, Range, resolve_range
from harness.experiments.bisect.candidates.base import BadRange, SameEnds, WrongWayRound
from harness.experiments.bisect.candidates.clone import NoClone, NoSuchCommit
from harness.experiments.bisect.candidates.git import NotConnected
from tests.experiments.bisect.repository import Repository

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("cache")]

MERGE = "Merge pull request #{0} from someone/branch\n\n{1}\n\nWhy it was done.\n"


async def found(repository: Repository, ends: str, *, full_history: bool = False) -> Range:
    """Return the commits of a range."""
    return await resolve_range(
        f"git:{repository.folder}@{ends}", Options(build_command="sh build.sh", full_history=full_history)
    )


@pytest.fixture
def merged(repository: Repository) -> Repository:
    """Two branches of two commits each, merged one after the other, between the tags v1 and v2.

    v1 ─ one ─ ─ ─ ─ M7 ─ two ─ ─ M8 = v2
     │            ╱            ╱
     ├─ a1 ─ a2 ─            ╱
     └─ b1 ─ ─ ─ ─ ─ b2 ─ ─
    """
    repository.commit("first", tag="v1")
    for branch in ("a", "b"):
        repository.git("checkout", "--quiet", "-b", branch, "v1")
        for number in (1, 2):
            repository.commit(f"{branch}{number}")
    repository.git("checkout", "--quiet", "main")
    repository.commit("one")
    repository.merge("a", MERGE.format(7, "bring a"))
    repository.commit("two")
    repository.merge("b", "Merge branch 'b'")
    repository.git("tag", "v2")
    return repository


async def test_first_parents(merged: Repository) -> None:
    """Along first parents the range is a chain from the older end; merges are named by what they merge."""
    candidates = (await found(merged, "v1..v2")).candidates
    assert [(each.title, each.parents) for each in candidates] == [
        ("first", ()),
        ("one", (0,)),
        ("bring a (#7)", (1,)),
        ("two", (2,)),
        ("Merge branch 'b'", (3,)),
    ]
    assert candidates[0].name == merged.git("rev-parse", "--short=12", "v1")


async def test_full_history(merged: Repository) -> None:
    """In the full history every commit is there once, after its parents, with all of them."""
    candidates = (await found(merged, "v1..v2", full_history=True)).candidates
    titles = [each.title for each in candidates]
    parents = {each.title: {titles[parent] for parent in each.parents} for each in candidates}
    assert parents == {
        "first": set(),
        "one": {"first"},
        "a1": {"first"},
        "a2": {"a1"},
        "bring a (#7)": {"one", "a2"},
        "two": {"bring a (#7)"},
        "b1": {"first"},
        "b2": {"b1"},
        "Merge branch 'b'": {"two", "b2"},
    }
    assert titles[0] == "first"
    assert titles[-1] == "Merge branch 'b'"
    assert all(parent < place for place, each in enumerate(candidates) for parent in each.parents)


async def test_a_branch_from_before_the_range(merged: Repository) -> None:
    """A commit whose parent is outside of the range follows the older end."""
    one = merged.git("rev-parse", "v2~3")
    candidates = (await found(merged, f"{one}..v2", full_history=True)).candidates
    titles = [each.title for each in candidates]
    assert titles[0] == "one"
    assert "first" not in titles
    assert {each.title for each in candidates if each.parents == (0,)} == {"a1", "b1"}


async def test_ends_on_two_branches(repository: Repository) -> None:
    """Between releases of two lines the search begins where they part, and says so."""
    base = repository.commit("base")
    repository.git("checkout", "--quiet", "-b", "release-1")
    repository.commit("pick for 1.1", tag="v1.1")
    repository.git("checkout", "--quiet", "main")
    repository.commit("new")
    repository.git("checkout", "--quiet", "-b", "release-2")
    repository.commit("pick for 2.0", tag="v2.0")
    for full_history in (False, True):
        line = await found(repository, "v1.1..v2.0", full_history=full_history)
        assert [each.title for each in line.candidates] == ["base", "new", "pick for 2.0"]
        assert f"the search begins where the two part, at {base[:12]}" in line.note
    with pytest.raises(WrongWayRound, match=r"'v1\.1' is before 'v2\.0'"):
        await found(repository, "v2.0..v1.1")


async def test_an_end_on_a_merged_branch(merged: Repository) -> None:
    """An older end that first parents do not lead to is replaced by where its branch began."""
    line = await found(merged, "a..v2")
    assert [each.title for each in line.candidates] == ["first", "one", "bring a (#7)", "two", "Merge branch 'b'"]
    assert "a is not on the first-parent line to v2" in line.note
    whole = await found(merged, "a..v2", full_history=True)
    assert whole.candidates[0].title == "a2"
    assert whole.note == ""


async def test_bad_ends(merged: Repository) -> None:
    """Equal, swapped and unknown ends are told, each in one sentence, before anything is built."""
    tip = merged.git("rev-parse", "main")
    for ends, error, said in (
        ("v1..v1", SameEnds, "both ends are 'v1'"),
        (f"v2..{tip}", SameEnds, f"'v2' and '{tip}' are the same"),
        ("v2..v1", WrongWayRound, "'v1' is before 'v2'"),
        ("v1..mian", NoSuchCommit, "has no commit 'mian'; did you mean 'main'"),
        ("v1..--all", NoSuchCommit, "has no commit '--all'"),
        ("v1...v2", BadRange, "name two ends"),
        ("v2", BadRange, "name two ends"),
    ):
        with pytest.raises(error, match=said) as raised:
            await found(merged, ends)
        assert "\n" not in str(raised.value)


async def test_no_build_command(merged: Repository) -> None:
    """Commits without a command that builds them are refused, and told what such a command has to do."""
    for command in (None, "  "):
        with pytest.raises(BadRange, match="say how with --build-command"):
            await resolve_range(f"git:{merged.folder}@v1..v2", Options(build_command=command))


async def test_no_clone(tmp_path: Path) -> None:
    """A folder that is none, or in no clone, is told by git's own words."""
    options = Options(build_command="true")
    with pytest.raises(NoClone, match="there is no such folder"):
        await resolve_range(f"git:{tmp_path}/none@a..b", options)
    with pytest.raises(NoClone, match="not a git repository"):
        await resolve_range(f"git:{tmp_path}@a..b", options)
    with pytest.raises(BadRange, match="name a clone and two commits of it"):
        await resolve_range(f"git:{tmp_path}", options)


async def test_unrelated(repository: Repository) -> None:
    """Two histories that never met have nothing between them."""
    repository.commit("here")
    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.commit("there")
    with pytest.raises(NotConnected, match="no commit in common"):
        await found(repository, "main..other")


async def test_shallow(merged: Repository, tmp_path: Path) -> None:
    """A shallow clone that lacks the older end, or the way to it, says how to have the rest."""
    shallow = Repository(tmp_path / "shallow")
    shallow.git("fetch", "--quiet", "--depth=2", f"file://{merged.folder}", "refs/tags/v2:refs/tags/v2")
    with pytest.raises(NoSuchCommit, match=r"has no commit 'v1'.*git fetch --unshallow"):
        await found(shallow, "v1..v2")
    shallow.git("fetch", "--quiet", "--depth=1", f"file://{merged.folder}", "refs/tags/v1:refs/tags/v1")
    with pytest.raises(NotConnected, match="the clone is shallow"):
        await found(shallow, "v1..v2")


async def test_changes_that_are_not_committed(merged: Repository) -> None:
    """A dirty clone is searched, and told that changes are not part of it; untracked files are no changes."""
    (merged.folder / "untracked").write_text("mine")
    assert (await found(merged, "v1..v2")).note == ""
    (merged.folder / "daemon.sh").write_text("changed")
    assert "has changes that are not committed; they are not part of any build" in (await found(merged, "v1..v2")).note


async def test_names_with_an_at(merged: Repository, tmp_path: Path) -> None:
    """An @ in a folder's or a commit's name is no separator; a folder below the top, or a bare clone, serves."""
    moved = tmp_path / "my@clone"
    merged.folder.rename(moved)
    (moved / "below").mkdir()
    Repository(tmp_path / "any").git("clone", "--quiet", "--bare", str(moved), str(tmp_path / "bare"))
    for place, ends in ((moved, "v1..main@{0}"), (moved / "below", "v1..@"), (tmp_path / "bare", "v1..v2")):
        line = await resolve_range(f"git:{place}@{ends}", Options(build_command="true"))
        assert len(line.candidates) == 5


async def test_a_git_that_has_started_us(merged: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What git tells its hooks of their own clone does not lead to that clone."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert len((await found(merged, "v1..v2")).candidates) == 5
