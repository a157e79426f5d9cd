"""Subgraphs by TensorRT and TensorRT-RTX: plans built, kept, chosen and run."""
