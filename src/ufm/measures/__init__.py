"""From trained models to what is kept of them."""
