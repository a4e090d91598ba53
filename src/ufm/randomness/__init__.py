"""Named, counted draws."""
