"""Reports of hangs in each form in which people post dumps: what is told must be the same, or a refusal."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from harness.buildkit.diagnosis import diagnose, diagnose_counted, read_file
from harness.buildkit.goroutines.buckets import counted_of
from tests.adversary.world import Options, Try
from tests.support.dump_forms import CUT, FIRST, SECOND, THIRD

DATA: Final = Path(__file__).parents[1] / "data" / "reports"
REFUSED: Final = "refused"


def told(files: Sequence[Path]) -> str:
    """Return what is said of files: the kind and the signature, or that nothing can be told."""
    posted = [read_file(file) for file in files]
    dumps = [dump for each in posted for dump in each.dumps]
    crash = next((each.crash for each in posted if each.crash), "")
    if any(each.hollow for each in posted):
        return REFUSED
    found = diagnose(dumps, crash=crash) if dumps or crash else diagnose_counted(counted_of(files[0]))
    return f"{found.kind} {found.signature}" if found else REFUSED


def forms(options: Options) -> Iterator[Try]:
    """Write each report in each form, and ask what it is; a try a form."""
    reports = sorted(each for each in DATA.iterdir() if each.is_dir() and not each.name.startswith(("K7", "K17")))
    right = {each.name: told(sorted(each.iterdir())) for each in reports}
    for name, form in {**FIRST, **SECOND, **THIRD, **CUT}.items():
        if options.over:
            return
        if not options.wants(name):
            continue
        wrong = []
        for report in reports:
            files = []
            for file in sorted(report.iterdir()):
                files.append(options.place / file.name)
                files[-1].write_bytes(form(file.read_bytes()))
            said = told(files)
            if said != right[report.name] and not (name in CUT and said == REFUSED):
                wrong.append(f"{report.name} is {said}")
        yield Try(f"{name}, {len(reports)} reports", "; ".join(wrong))
