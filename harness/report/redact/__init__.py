"""Takes secrets out of what leaves the machine."""

from harness.report.redact.names import is_secret
from harness.report.redact.redactor import REDACTED, Redactor, redact

__all__ = ["REDACTED", "Redactor", "is_secret", "redact"]
