"""The support assistant of Fernhill Outdoors."""
