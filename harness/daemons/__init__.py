"""The daemons under test: one file per kind; `table` names them."""
