"""Chapter *Detection*: the populations."""

from ufm.plan import populations

shown = populations.names
DECIDING = {"C2": shown}  # by claim, the sweeps on which it stands
