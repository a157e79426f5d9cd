"""MPEG transport streams: everything but the video PID passes byte for byte."""
