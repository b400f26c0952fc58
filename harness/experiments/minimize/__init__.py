"""The smallest scenario that still hangs as often, and a script of it that needs nothing but BuildKit."""
