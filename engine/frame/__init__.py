"""What a frame is: operations on named buffers, and what is derived from them."""
