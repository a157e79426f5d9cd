"""What is asked of the measured: thresholds, a baseline, and the verdict."""
