"""Real daemons where a user may have them: in caches with odd names, in other locales, with their containerd killed."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

import psutil

from tests.adversary.world import Options, Repro, Try, traceback_in

NAMES = ("a b", "a'b", "é", "$HOME", "a#b", "a%b", "a=b", "-a", "a*b", "a(b)", "a&b", "~", "a;b", "ж" * 40)
LOCALES: dict[str, dict[str, str]] = {
    "C": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "unknown": {"LC_ALL": "en_US.ISO-8859-1"},
    "no HOME": {"HOME": "/nonexistent"},
    "no environment": {"HOME": "", "LANG": "", "LC_ALL": "", "TERM": ""},
}


def surroundings(options: Options) -> Iterator[Try]:
    """Run a few builds in each cache and each locale, and show, report and pack the run."""
    for number, name in enumerate(NAMES):
        repro = Repro(options.place / f"cache-{number}")
        repro.place.mkdir()
        problems = _ran(options, repro, {"REPRO_CACHE": str(repro.place / name)})
        yield Try(f"cache named {name!r}", "; ".join(problems))
    for name, env in LOCALES.items():
        repro = Repro(options.place / name.replace(" ", "-"))
        repro.place.mkdir()
        yield Try(f"surroundings: {name}", "; ".join(_ran(options, repro, env)))
    for when in (0.0, 2.0, 4.0):
        repro = Repro(options.place / f"containerd-{when:g}")
        repro.place.mkdir()
        yield Try(f"containerd killed after {when:g} s", "; ".join(_without_containerd(repro, when)))


def _ran(options: Options, repro: Repro, env: Mapping[str, str]) -> list[str]:
    words = ("run", "control-clean", "--daemon", options.daemon, "--iterations", "10", "--results", str(repro.results))
    code, said = repro(*words, env=env)
    problems = [f"run exits with {code}: {traceback_in(said) or said[-300:]}"] if code else []
    for run in repro.runs():
        for command in (["show"], ["report"], ["bundle", "-o", str(repro.place / "b.tgz")]):
            code, said = repro(command[0], str(run.path), *command[1:], env=env)
            problems += [f"{command[0]} exits with {code}: {said[-200:]}"] if code else []
    return problems + [each for each in repro.left() if not each.startswith("temporary")]


def _without_containerd(repro: Repro, after: float) -> list[str]:
    """Kill dockerd's containerd in mid-run; the daemon is at fault, and not this host."""
    output = repro.place / "output.log"
    words = ("run", "control-clean", "--daemon", "debian:trixie", "--iterations", "60")
    process = repro.start(*words, "--results", str(repro.results), output=output)
    victim = None
    while process.poll() is None and victim is None:
        time.sleep(0.05)
        with suppress(psutil.Error):
            for each in psutil.Process(process.pid).children(recursive=True):
                if each.name() == "containerd" and "--config" in each.cmdline():
                    victim = each
    if victim is not None:
        time.sleep(after)
        with suppress(psutil.Error):
            victim.kill()
    code = process.wait(300)
    said = output.read_text(errors="replace")
    problems = [end] if (end := traceback_in(said)) else []
    if victim is None or code not in {0, 125}:
        problems.append(f"exits with {code}: {said[-300:]}")
    return problems + repro.left()
