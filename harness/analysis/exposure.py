"""What a short run says of a rate; apart from the tests that use it, for those load SciPy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Exposure:
    """One look, as far as it counts."""

    builds: int
    """Those that count: see `look.Look.builds`."""
    hung: bool
    host: str = ""
    """Who made it; empty of this one."""
