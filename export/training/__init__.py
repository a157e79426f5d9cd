"""Weights of one's own: the stages of the paper, from videos of faces to a weights file."""
