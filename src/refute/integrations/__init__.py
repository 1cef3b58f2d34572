"""Bridges to what teams already use."""
