"""Where checkpoints come from: folders, the hub, packages of a registry."""
