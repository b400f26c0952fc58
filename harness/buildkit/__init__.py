"""Pure knowledge of the subject: progress stream, goroutine dumps, diagnosis, the cache database."""
