"""Which mix of a scenario's open values hangs a daemon soonest. Nothing of it is loaded but by `repro explore`."""
