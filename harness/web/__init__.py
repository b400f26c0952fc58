"""The runs as a local web page that follows them, and as metrics."""
