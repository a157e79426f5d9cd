"""CUDA kernels, and the plain NumPy meaning of each."""
