"""The wire process: receives, decodes, ticks, encodes, sends; loads no inference library."""
