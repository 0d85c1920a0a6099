"""What splits of a trial's own data are called, which no further test set may be."""

OWN_SPLIT = "test"
"""Split of the test set that a trial names."""
RESERVED = ("train", "validation", OWN_SPLIT)
