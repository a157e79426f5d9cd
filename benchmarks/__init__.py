"""Speed, memory, accuracy and quality, measured."""
