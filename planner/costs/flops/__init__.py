"""FLOPs from dimensions: forward, training, and the study's own convention."""
