"""The diagnosis as a library: with the standard library, YAML and what records are written with, and nothing else."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ALONE: Final = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in BLOCKED or name.startswith("harness.") and name.split(".")[1] not in ("buildkit", "core"):
            raise ImportError(f"{name} is not here")

BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Refuse())
from harness.buildkit import diagnose, read_dumps
from pathlib import Path
print(diagnose(read_dumps(map(Path, sys.argv[2:])), version="BuildKit v0.23.2").signature)
"""
BLOCKED: Final = (
    "anyio,docker,tenacity,typer,rich,psutil,httpx,scipy,numpy,jinja2,bokeh,starlette,uvicorn,prometheus_client,"
    "grpclib,h2,networkx,optuna,distributed,pandas,sniffio"
)


def test_without_the_rest() -> None:
    """`harness.buildkit` reads and diagnoses dumps where no daemon, host, screen or statistics can be imported."""
    dumps = sorted((Path(__file__).parents[1] / "data" / "goroutines").glob("hang-*.txt"))
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, BLOCKED, *map(str, dumps)], check=False, capture_output=True, text=True
    )
    assert ended.stdout == "export-livelock\n", ended.stderr
