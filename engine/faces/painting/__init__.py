"""Cutting faces out smoothly and putting them back."""
