"""Networks: their settings, and their layers."""
