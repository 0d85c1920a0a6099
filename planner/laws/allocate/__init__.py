"""Compute-optimal allocation: which axis values a budget should buy, by three approaches side by side."""
