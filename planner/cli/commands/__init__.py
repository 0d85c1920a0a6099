"""The planner's commands, one module a subject; each imports click alone at the top."""
