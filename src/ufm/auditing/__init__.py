"""What any trained model, or an endpoint, says of marks: exact where they were drawn before training."""

from ufm.auditing.audit import AuditReport, MarkResult, audit
from ufm.auditing.exact import Combined, Place, combined, epsilon_bound, mark_p_values
from ufm.auditing.pools import Pool, pool

__all__ = [
    "AuditReport",
    "Combined",
    "MarkResult",
    "Place",
    "Pool",
    "audit",
    "combined",
    "epsilon_bound",
    "mark_p_values",
    "pool",
]
