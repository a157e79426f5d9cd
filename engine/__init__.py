"""The deployment side of keeprt: faces in, restored faces out. Never imports torch."""
