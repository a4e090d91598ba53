"""Chapter *Detection*: the populations."""

from ufm.plan import populations

shown = populations.names
