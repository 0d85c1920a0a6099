"""Two runs scored on the same utterances: how they differ, how sure that is, where it comes from."""
