"""Pure knowledge of the subject: progress stream, goroutine dumps, diagnosis, the cache database.

As a library, without the rest: ``diagnose(read_dumps(paths), version="BuildKit v0.23.2")`` gives a `Diagnosis`.
"""

from harness.buildkit.diagnosis import diagnose, read_dumps
from harness.core.records import Diagnosis

__all__ = ["Diagnosis", "diagnose", "read_dumps"]
