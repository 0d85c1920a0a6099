"""Latency of a device, from fresh processes."""
