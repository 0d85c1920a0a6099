"""Peak memory of scoring and training, in closed form."""
