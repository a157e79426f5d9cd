"""Frames on an NVIDIA card, by cuda-core."""
