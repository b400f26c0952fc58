"""A build as it is watched through its client."""
