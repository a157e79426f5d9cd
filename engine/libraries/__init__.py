"""What runs a subgraph."""
