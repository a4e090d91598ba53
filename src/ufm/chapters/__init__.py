"""What each notebook shows: a file a notebook, of the same name."""
