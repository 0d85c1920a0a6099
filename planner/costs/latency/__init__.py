"""Latency of a device: stages fitted to measurements, or its data sheet."""
