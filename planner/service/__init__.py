"""Use cases: what a command, the HTTP service and a notebook call alike."""
