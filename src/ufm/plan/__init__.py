"""What is trained, and what counts."""
