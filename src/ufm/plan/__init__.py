"""What is trained, and what counts: a file a chapter.

`ufm.plan.registry` finds them.
"""
