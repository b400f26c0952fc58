"""A file of a result is read out of whatever form a client leaves the result in."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.buildkit.results import Unreadable, read_layers, read_result

Files = Mapping[str, bytes]


def tar(files: Files, mode: str = "w") -> bytes:
    """Return a tar of files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def oci(*images: list[Files]) -> bytes:
    """Return an OCI layout: an index in the index, with an image each, and an attestation that is none."""
    blobs: dict[str, bytes] = {}

    def keep(content: bytes) -> dict[str, str]:
        name = f"{len(blobs):064x}"
        blobs[f"blobs/sha256/{name}"] = content
        return {"digest": f"sha256:{name}"}

    manifests = [
        keep(json.dumps({"layers": [keep(tar(layer, "w:gz")) for layer in layers]}).encode()) for layers in images
    ]
    attestation = keep(json.dumps({"layers": [keep(b"{}")]}).encode()) | {"platform": {"os": "unknown"}}
    inner = keep(json.dumps({"manifests": [*manifests, attestation]}).encode())
    return tar({**blobs, "index.json": json.dumps({"manifests": [inner]}).encode()})


def docker(layers: list[Files]) -> bytes:
    """Return what an old `docker save` writes."""
    named = {f"{index}/layer.tar": tar(layer) for index, layer in enumerate(layers)}
    return tar({**named, "manifest.json": json.dumps([{"Layers": [*named]}]).encode()})


LAYERS: list[Files] = [{"n": b"1\n", "d/n": b"deep"}, {"other": b""}, {"n": b"2\n", "d/.wh.n": b""}]
FORMS: Mapping[str, bytes] = {
    "oci": oci(LAYERS),
    "docker": docker(LAYERS),
    "files": tar({"n": b"2\n", "d/m": b"", "other": b""}),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=[*FORMS])
def test_one_file(tmp_path: Path, form: bytes) -> None:
    """The highest layer counts, a whiteout removes, an empty file is there, and what is nowhere is not."""
    place = tmp_path / "result"
    place.write_bytes(form)
    assert read_result(place, "/n") == [b"2\n"]
    assert read_result(place, "/other") == [b""]
    assert read_result(place, "/d/n") == [None]
    assert read_result(place, "/never") == [None]


def test_folder(tmp_path: Path) -> None:
    """A folder is read as it lies, and a link is no file of the result's."""
    (tmp_path / "n").write_text("3")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert (read_result(tmp_path, "/n"), read_result(tmp_path, "/link")) == ([b"3"], [None])


def test_several_platforms(tmp_path: Path) -> None:
    """Each platform has a result of its own."""
    for platform in ("linux_amd64", "linux_arm64"):
        (tmp_path / platform).mkdir()
        (tmp_path / platform / "n").write_text(platform)
    assert read_result(tmp_path, "/n") == [b"linux_amd64", b"linux_arm64"]
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar({"linux_amd64/n": b"1", "linux_arm64/n": b"2"}))
    assert read_result(archive, "/n") == [b"1", b"2"]
    archive.write_bytes(oci([{"n": b"1"}], [{"n": b"2"}]))
    assert read_result(archive, "/n") == [b"1", b"2"]


def test_opaque_folder_hides_what_is_below_it() -> None:
    """A folder that is made anew has nothing of the layers below."""
    layers = [tar({"d/n": b"1"}), tar({"d/.wh..wh..opq": b""})]
    assert read_layers(map(io.BytesIO, layers), "/d/n") is None


@pytest.mark.parametrize("content", [b"", b"no tar at all", tar({"index.json": b"{"}), tar({"index.json": b"[]"})])
def test_no_result(tmp_path: Path, content: bytes) -> None:
    """What is no result is told, in a sentence."""
    place = tmp_path / "result.oci"
    place.write_bytes(content)
    with pytest.raises(Unreadable, match=r"result\.oci is no result of a build"):
        read_result(place, "/n")
