"""Client libraries whose calls can be broken in process: one module a library, and what they share."""
