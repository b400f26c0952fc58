"""Short runs on the hosts of a Dask cluster: what is sent to them, what comes back, and which host is not asked again.

Nothing of it is loaded but by a command that is told `--on`.
"""
