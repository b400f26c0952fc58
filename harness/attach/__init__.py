"""A daemon that is not ours: found, watched, captured, and never disturbed."""
