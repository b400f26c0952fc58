"""Many runs on one page: what was found, grouped by what it is; what goes on; every run, search and comparison."""
