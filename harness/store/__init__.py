"""What a run, a search or a series leaves on disk; all SQL of a run is in this room."""
