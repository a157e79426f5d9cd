"""Streams: a restored face on air, at a delay that is declared and kept."""
