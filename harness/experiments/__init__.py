"""Many short runs put together: compare, verify, bisect."""
