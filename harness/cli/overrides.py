"""What options of their own set in a scenario, beside ``--set``."""

from harness.scenario.places import Override


def ends(iterations: int | None, time: str | None) -> list[Override]:
    """Return what ``--iterations`` and ``--time`` set in a scenario."""
    said = {"iterations": iterations, "time": time}
    return [Override.of(f"stop.{key}={it}", f"--{key} {it}") for key, it in said.items() if it is not None]
