"""Worlds with a known truth, which share no code with `harness.analysis`, and what is said of what they produce."""
