"""Where streams come from and go to: UDP, SRT, RIST, RTMP, files, pipes."""
