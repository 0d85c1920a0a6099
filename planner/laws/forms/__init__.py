"""Functional forms of laws, and which of them can be had for which axes."""
