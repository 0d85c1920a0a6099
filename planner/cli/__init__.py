"""The command `soundscale`: parse, one service call, print."""
