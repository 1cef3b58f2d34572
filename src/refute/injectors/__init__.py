"""Hands: in-process HTTP and callables."""
