"""What a person at a terminal sees and sends: lines, progress, signals."""
