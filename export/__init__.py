"""The PyTorch side of keeprt: the reference network, its checkpoints, and the way to a bundle."""
