"""Images and labels: a file a source."""
