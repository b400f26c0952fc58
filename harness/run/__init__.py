"""A run of ours, from its start to its verdict."""
