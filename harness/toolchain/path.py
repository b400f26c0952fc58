"""``path:DIR``: a folder with `dockerd` or `buildkitd`, such as one's own build of upstream's source."""

from pathlib import Path

from harness.toolchain.base import NEEDS, BadSpec, Toolchain, inspect, side_by_side
from harness.toolchain.programs import complete, programs_in


class PathFolder:
    """Takes what the folder or its ``bin/`` holds, and completes it from this host."""

    async def obtain(self, argument: str) -> Toolchain:
        """Return the toolchain in a folder; relative to the working folder, ``~`` is the user's."""
        spec = f"path:{argument}"
        if not argument:
            raise BadSpec(spec, "name a folder, as in path:/opt/buildkit")
        folder = Path(argument).expanduser().absolute()
        if not folder.is_dir():
            raise BadSpec(spec, f"there is no folder {folder}")
        found = programs_in(folder, folder / "bin")
        if not any(kind in found for kind in NEEDS):
            raise BadSpec(spec, f"neither {folder} nor its bin/ holds an executable {' or '.join(NEEDS)}")
        programs = await complete(found, from_host=True)
        return Toolchain(f"path:{folder}", await side_by_side(inspect, programs))
