"""Hands inside a training run. Torch is used where the program has imported it, and never imported by these modules."""
