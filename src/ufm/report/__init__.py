"""Tables, texts and figures that know no chapter."""
