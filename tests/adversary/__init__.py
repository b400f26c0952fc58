"""What an adversary does to the harness: scripts that take minutes, and their quick parts as tests."""
