"""Soundscale's runner: LoRA training and scoring of speech models, on Ray or inline."""
