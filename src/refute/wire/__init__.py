"""Codecs of provider protocols: bytes to abstract events and back."""
