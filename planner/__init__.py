"""Soundscale's planner: costs, scaling laws, the store and the answer, without torch or ray."""

__version__ = "0.1.0"
