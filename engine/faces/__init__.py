"""Faces in whole frames: found, followed, aligned to the network's template, and put back."""
