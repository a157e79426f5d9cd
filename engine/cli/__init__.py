"""keeprt."""
