"""Stress reproduction harness for builds that print every step, export, and never return."""

__version__ = "0.1.0"
