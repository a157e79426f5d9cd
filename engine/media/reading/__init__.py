"""Reading a video file: packets with true times, frames from the place that was asked for."""
