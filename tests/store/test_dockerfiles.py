"""A run keeps the Dockerfiles that it builds: small plain files, and nothing that lies elsewhere."""

from pathlib import Path

from harness.store.dockerfiles import FILE_BYTES, keep_dockerfiles, left_out, places_of


def folder(at: Path) -> Path:
    """Make a folder with a Dockerfile."""
    at.mkdir(parents=True)
    (at / "Dockerfile").write_text(f"# {at}\n")
    return at


def test_a_copy_stays(tmp_path: Path) -> None:
    """What is kept is what was there first: a run that is gone on with does not replace it."""
    source = folder(tmp_path / "one")
    (source / "sub").mkdir()
    (source / "sub" / "x").write_text("x")
    keep_dockerfiles(tmp_path / "run", [source, source])
    (source / "Dockerfile").write_text("changed")
    keep_dockerfiles(tmp_path / "run", [source])
    kept = tmp_path / "run" / "dockerfiles" / "one"
    assert (kept / "Dockerfile").read_text() == f"# {source}\n"
    assert (kept / "sub" / "x").read_text() == "x"
    assert left_out(kept) == []


def test_two_of_one_name(tmp_path: Path) -> None:
    """Folders of one name in different places have a copy each."""
    first, second = folder(tmp_path / "a" / "one"), folder(tmp_path / "b" / "one")
    keep_dockerfiles(tmp_path, [first, second])
    kept = places_of(tmp_path, [first, second])
    assert [(place / "Dockerfile").read_text() for place in kept.values()] == [f"# {first}\n", f"# {second}\n"]


def test_what_is_not_kept(tmp_path: Path) -> None:
    """What is large, and what a link takes from elsewhere, is named and not copied."""
    source = folder(tmp_path / "one")
    with (source / "large").open("wb") as large:
        large.truncate(FILE_BYTES + 1)
    (source / "out").symlink_to("/etc/passwd")
    (source / "within").symlink_to(source / "Dockerfile")
    keep_dockerfiles(tmp_path, [source])
    kept = tmp_path / "dockerfiles" / "one"
    assert sorted(file.name for file in kept.iterdir()) == ["Dockerfile", "within"]
    assert left_out(kept) == ["large", "out"]
