"""Go's goroutine dumps: read, counted by stack, compared."""
