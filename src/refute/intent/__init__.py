"""The intent file: load, validate, explain."""
