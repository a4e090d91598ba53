"""What the first plan says.

A file a claim, which has `CLAIM` and the `result` from the populations; `verdicts` finds them.
"""
