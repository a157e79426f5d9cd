"""The options of every command: each declared once, and checked by one piece before any work."""
