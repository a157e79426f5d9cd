"""Subgraphs by ONNX Runtime, on a CPU or by its CUDA provider."""
