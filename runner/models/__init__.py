"""Pretrained speech models whose three axes really change tensor shapes."""
