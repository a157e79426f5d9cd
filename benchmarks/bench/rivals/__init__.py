"""Who is measured beside the engine."""
