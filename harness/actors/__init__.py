"""What loads and disturbs a daemon: one file per kind; `table` names them."""
