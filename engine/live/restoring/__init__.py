"""The restorer's process: the file pipeline's own steps on frames in shared memory."""
