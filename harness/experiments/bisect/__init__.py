"""The search for the build that brought a hang, or that took it away."""
