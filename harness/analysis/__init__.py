"""Pure statistics and verdicts, computed from records."""
