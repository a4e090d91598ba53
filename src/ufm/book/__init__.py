"""The site: notebooks executed, pages built, re-runs compared."""
