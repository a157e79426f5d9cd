"""Where the network's weights come from."""
