"""Formulas as people type them: parsed to a tree of our own, exact derivatives; nothing is evaluated as code."""
