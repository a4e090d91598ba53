"""What any trained model, or an endpoint, says of marks: exact where they were drawn before training."""

from ufm.audit.exact import Combined, Place, combined, epsilon_bound, mark_p_values
from ufm.audit.pools import Pool, pool

__all__ = ["Combined", "Place", "Pool", "combined", "epsilon_bound", "mark_p_values", "pool"]
