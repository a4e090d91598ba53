"""What is trained, and what counts: a file a chapter, found by `ufm.plan.registry`."""
