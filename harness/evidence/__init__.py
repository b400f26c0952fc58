"""What is captured at a finding: one file per kind of capture; `table` names them."""
