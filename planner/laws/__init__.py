"""Scaling laws: functional forms, fitting, intervals and selection; pure functions of arrays."""
