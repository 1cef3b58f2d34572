"""Experiments whose units are training runs: pairs of one seed, with the fault and without it."""
