"""From a stored run to a folder that runs it elsewhere, scored in its engine before it is trusted."""
