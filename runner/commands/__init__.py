"""Commands of the runner beside the sweep's: parse, one call, print."""
