"""The decision: candidates, search under limits, the frontier and the reasons."""
