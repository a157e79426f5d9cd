"""How many machines an archive or a hall of channels takes, from what was measured on one."""
