"""What half precision costs and gains: policies, islands and thresholds, tried on real frames."""
