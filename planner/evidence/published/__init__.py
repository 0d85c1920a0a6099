"""Published results as data, each row with its source, and their loader."""
