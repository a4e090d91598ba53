"""Chapter *Controls*: the populations."""

from ufm.plan import populations

shown = populations.names
