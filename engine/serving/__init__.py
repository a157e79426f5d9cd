"""Many channels: a Triton model repository made from a bundle, its model, and a client."""
