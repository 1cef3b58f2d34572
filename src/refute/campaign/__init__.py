"""Ask, run, tell."""
