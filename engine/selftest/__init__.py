"""First contact with a machine: what runs there, what says the same as the host, and what not."""
