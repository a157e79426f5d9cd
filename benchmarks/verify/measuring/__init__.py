"""What is measured: the reference and the engine side by side, and how far apart they are."""
