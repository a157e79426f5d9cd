"""The machine under the figures: what it is, how fast it can be, what else ran on it."""
