"""Components and calls."""
