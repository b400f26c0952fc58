"""The search for the toolchain with which a hang came, or went."""
