"""Are two laws different: parameters, exponents or whole curves of the groups of one table."""
