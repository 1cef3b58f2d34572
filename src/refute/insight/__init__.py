"""Terminal output and HTML report."""
