"""What makes a finding of a build that is still running."""
