"""Accuracy of a bundle under a backend, held against the PyTorch reference."""
