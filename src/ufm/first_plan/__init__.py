"""The first plan's verdicts: a file a claim, which has `CLAIM` and the `result` from the populations."""
