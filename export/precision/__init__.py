"""Strongly typed graphs: which nodes are half, which stay float32, and what that costs."""
