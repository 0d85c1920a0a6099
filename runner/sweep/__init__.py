"""Sweeps: from a file to trials, and what they are expected to take."""
