"""What each stage trains, and by which losses."""
