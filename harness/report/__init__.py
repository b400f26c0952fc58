"""What a run hands over to others."""
