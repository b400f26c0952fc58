"""What machines read: one JSON object a line, told apart by its key ``event``."""

import json
from typing import Any


def machine_line(event: str, /, **content: Any) -> None:
    """Print an event, at once, with what belongs to it."""
    print(json.dumps({"event": event, **content}, default=str), flush=True)  # noqa: T201 — machine lines
