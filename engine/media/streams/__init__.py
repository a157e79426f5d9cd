"""What goes beside the picture: sound, subtitles, data, covers, chapters, decided before work."""
