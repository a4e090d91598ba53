"""What each notebook shows: a file a notebook, of the same name.

A chapter offers what its notebook asks for: `printed_…`, a table as the book prints it; `drawn_…`, a figure;
`quantities` by population, of which the summary table and the ranges in the text are made, or a `summary` and `texts`
of its own. No chapter imports another.
"""
