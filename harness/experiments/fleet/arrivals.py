"""Runs as they come back from other hosts: laid out below this host's results, if they are what was asked for."""

import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Final

from harness.core.errors import StoreError
from harness.core.files import write_whole
from harness.core.manifest import Programs
from harness.core.outcome import Ending
from harness.core.records import Summary
from harness.experiments.fleet.errors import NotMade
from harness.experiments.fleet.job import Delivery, SentScenario, Unpackable, unpack
from harness.run.plan import RunOptions
from harness.store.folder import RunFolder
from harness.toolchain import Toolchain

_ABANDONED: Final = 3600.0
"""Seconds since a draft was begun: one is laid out in some."""


def place_of(parent: Path, host: str) -> Path:
    """Return where a run that begins now will be kept: its name has when it began, and where."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return parent / f"{stamp}-{host}-{secrets.token_hex(2)}"


def _remove_abandoned(parent: Path) -> None:
    """Remove what processes that were killed had begun to lay out, long after."""
    for draft in parent.glob(".????????T??????Z-*-????"):
        with suppress(OSError):
            if time() - draft.stat().st_mtime > _ABANDONED:
                shutil.rmtree(draft)


@dataclass
class ArrivedRuns:
    """What has come back."""

    seen: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """What programs the first host had that fetched a toolchain by its name: all are to have the same."""

    def keep(
        self, delivery: Delivery, folder: RunFolder, case: SentScenario, options: RunOptions, toolchain: Toolchain
    ) -> tuple[Summary, RunFolder]:
        """Lay out what came, whole or not at all, as a run of this host's results.

        Raises:
            Unpackable: it is no run.
            NotMade: it is of other programs than were asked for, or its host broke.
        """
        _remove_abandoned(folder.path.parent)
        draft = folder.path.with_name(f".{folder.name}")
        draft.mkdir(mode=0o700, parents=True)
        try:
            unpack(delivery.files, draft)
            came = RunFolder(draft)
            manifest, summary = came.manifest(), came.summary()
            if summary is None:
                raise Unpackable("it has no summary")
            if summary.ending is Ending.INFRA:
                raise NotMade(summary.because)
            hashes = manifest.toolchain.hashes
            known = {name: each.sha256 for name, each in toolchain.binaries.items()} or self.seen.setdefault(
                toolchain.spec, hashes
            )
            if differing := sorted(name for name in known if hashes.get(name) != known[name]):
                raise NotMade(f"it has another {', '.join(differing)} for {toolchain.spec} than the others")
            binaries = {**manifest.toolchain.binaries, **toolchain.binaries}
            daemon = manifest.daemon and replace(manifest.daemon, toolchain=toolchain.spec)
            came.write_manifest(
                replace(
                    manifest,
                    argv=options.argv,
                    toolchain=Programs(toolchain.spec, binaries),
                    daemon=daemon,
                    name="",
                    part_of=options.part_of,
                )
            )
            summary = replace(summary, daemon={**summary.daemon, "toolchain": toolchain.spec})
            came.write_json("summary.json", asdict(summary))
            write_whole(draft / "scenario.yaml", case.written)
            draft.rename(folder.path)
        except (StoreError, OSError) as error:
            raise Unpackable(str(error)) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return summary, folder
