"""What commands print: screens, lines, JSON."""
