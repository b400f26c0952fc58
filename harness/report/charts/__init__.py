"""The charts of a run, for a report and for a live page."""
