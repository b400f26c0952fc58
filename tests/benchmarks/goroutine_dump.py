"""Reading a goroutine dump of the size in moby/buildkit#6209: 43 MB, 527,000 lines, 32,646 goroutines.

``python tests/benchmarks/goroutine_dump.py`` makes such a file, and reads it in processes of their own: as buckets, and
as the bare iteration over its lines that any reader needs, in turn. It prints the times' ratio and the peak of memory.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

GOROUTINES, LINES = 32_646, 527_000
_READ = """
import resource, sys, time
from pathlib import Path
from harness.buildkit.goroutines.buckets import buckets_of
began = time.perf_counter()
{work}
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
_WORK = {
    "buckets": "found = buckets_of(Path(sys.argv[1])); assert sum(b.count for b in found) == 32646",
    "bare lines": "for line in open(sys.argv[1], 'rb'): line.rstrip()",
}


def make(path: Path) -> None:
    """Write a dump of that shape: the report's majority, and a tenth that all differ, as addresses and waits do."""
    frames = (LINES // GOROUTINES - 4) // 2
    with path.open("w") as file:
        for number in range(GOROUTINES):
            kind = number % 10 or number
            file.write(f"goroutine {number + 1} [select, {number % 900} minutes]:\n")
            for depth in range(frames):
                name = f"github.com/moby/buildkit/solver/package{kind % 400}.(*Receiver{depth}).Method{depth}"
                file.write(f"{name}(0xc{number:09x}, {{0x{depth:07x}, 0xc{kind:09x}}}, {{0x0, 0x0}}, 0x{number:x})\n")
                file.write(
                    f"\t/go/src/github.com/docker/docker/vendor/github.com/moby/{depth}.go:{depth} +0x{depth:x}\n"
                )
            file.write(f"created by google.golang.org/grpc.newClientStreamWithParams in goroutine {number}\n")
            file.write("\t/go/src/vendor/google.golang.org/grpc/stream.go:391 +0xdc5\n\n")


def measure(work: str, dump: Path) -> tuple[float, int]:
    """Return seconds, and MiB at the peak, of one process."""
    argv = [sys.executable, "-c", _READ.format(work=work), str(dump)]
    seconds, memory = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(memory)


def main() -> None:
    """Make it, read it five times each way, and print."""
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder, "dump.txt")
        make(dump)
        with dump.open("rb") as file:
            lines = sum(1 for _ in file)
        print(f"{dump.stat().st_size / 1e6:.1f} MB, {lines} lines, {GOROUTINES} goroutines")
        taken = {name: [measure(work, dump) for _ in range(5)] for name, work in _WORK.items()}
    for name, runs in taken.items():
        print(
            f"{name:<11} {statistics.median(seconds for seconds, _ in runs):.2f} s  {max(mib for _, mib in runs)} MiB"
        )
    ours, bare = (statistics.median(seconds for seconds, _ in taken[name]) for name in _WORK)
    print(f"ratio {ours / bare:.1f}")


if __name__ == "__main__":
    main()
