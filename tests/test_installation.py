"""The installation is whole: what pip installs elsewhere has the scenarios and their Dockerfiles, and runs them."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Final

import pytest

_CHECKOUT: Final = Path(__file__).resolve().parents[1]
_SOURCES: Final = ("pyproject.toml", "README.md", "harness", "scenarios", "dockerfiles")


def python(folder: Path, *words: str, installed: Path | None = None) -> str:
    """Run Python in a folder, this one or that of an installation, which sees nothing of the checkout."""
    interpreter = installed / "bin" / "python" if installed else Path(sys.executable)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" or not installed}
    argv = [str(interpreter), *words]
    ended = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=110)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a package is built from, for a build leaves its traces there."""
    folder = tmp_path_factory.mktemp("source") / "repro"
    folder.mkdir()
    for name in _SOURCES:
        path = _CHECKOUT / name
        if path.is_dir():
            shutil.copytree(path, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    """The wheel of the checkout."""
    return build(source, "wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; what it depends on comes from this one."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder)
    libraries = next(folder.glob("lib/python*/site-packages"))
    (libraries / "of-this-environment.pth").write_text(sysconfig.get_path("purelib"))
    pip = ("-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-deps", "--no-index", "-q")
    python(folder, *pip, str(wheel))
    return folder


def build(source: Path, kind: str) -> Path:
    """Build an sdist or a wheel as pip does, without a network; return its file."""
    dist = source.parent / kind
    dist.mkdir()
    python(source, "-c", f"from setuptools import build_meta; build_meta.build_{kind}({str(dist)!r})")
    return next(dist.iterdir())


def data(wheel: Path) -> dict[str, bytes]:
    """Return what a wheel has in `harness/data/`."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("harness/data/")]
        return {name.removeprefix("harness/data/"): archive.read(name) for name in names}


def test_a_wheel_has_what_scenarios_need(wheel: Path) -> None:
    """All of `scenarios/` and `dockerfiles/` is in it, as it is in the checkout, and so is the mark of its types."""
    folders = [_CHECKOUT / "scenarios", _CHECKOUT / "dockerfiles"]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert data(wheel) == {str(file.relative_to(_CHECKOUT)): file.read_bytes() for file in files}
    assert "harness/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_a_wheel_of_an_sdist_is_the_same(source: Path, wheel: Path, tmp_path: Path) -> None:
    """Where pip builds from an sdist instead of a checkout, nothing is missing."""
    shutil.unpack_archive(build(source, "sdist"), tmp_path, filter="data")
    assert data(build(next(tmp_path.iterdir()), "wheel")) == data(wheel)


def test_an_installation_lists_its_scenarios(installed: Path, tmp_path: Path) -> None:
    """`repro list` of the installed package, anywhere: every shipped scenario, with its own code and files."""
    repro = str(installed / "bin" / "repro")
    listed = python(tmp_path, repro, "list", installed=installed)
    assert "problems" not in listed
    for file in (_CHECKOUT / "scenarios").glob("*.yaml"):
        assert file.stem in listed
    place = python(tmp_path, "-c", "from harness.scenario.load import PROJECT; print(PROJECT)", installed=installed)
    assert Path(place.strip()).is_relative_to(installed)


@pytest.mark.parametrize("named", ["prune-race", "prune-race.yaml", "./copied.yaml"])
def test_an_installation_runs_a_scenario(installed: Path, tmp_path: Path, named: str) -> None:
    """A shipped scenario by its name, and a copy of it anywhere, which finds the shipped Dockerfiles."""
    shutil.copy(_CHECKOUT / "scenarios" / "prune-race.yaml", tmp_path / "copied.yaml")
    words = ["run", named, "--set", "daemon.kind=stub", "--iterations", "3", "--no-report"]
    repro = str(installed / "bin" / "repro")
    told = python(tmp_path, repro, *words, installed=installed)
    assert "CLEAN" in told
    assert list((tmp_path / "results" / "prune-race").iterdir())
