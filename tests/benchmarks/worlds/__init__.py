"""Worlds whose truth is known, made without a line of what is to be tried on them."""
