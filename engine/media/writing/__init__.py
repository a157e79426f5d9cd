"""Writing a video or a folder of images: what a sink promises, and how each keeps it."""
