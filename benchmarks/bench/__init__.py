"""Throughput and latency of a bundle beside its rivals, with the physics of each stage."""
