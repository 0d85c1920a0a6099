"""Evidence: from stored runs to the observations of one study."""
