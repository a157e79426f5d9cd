"""Many files: each restored once, with a receipt beside it that says so."""
