"""One trial from end to end: train, score, probe. Knows no SQL and no Ray."""
