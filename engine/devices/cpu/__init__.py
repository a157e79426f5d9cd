"""Frames in host memory."""
