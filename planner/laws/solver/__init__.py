"""Minimising the objective of a form: starts, variable projection, damped Newton steps."""
