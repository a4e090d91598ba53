"""What any model says of marks that were drawn before its training."""

from ufm.auditing.exact import Combined, Place, combined, mark_p_values
from ufm.auditing.given import CalibratedReport, calibrated
from ufm.auditing.pools import NotAuditable, Pool, pool
from ufm.auditing.reports import AuditReport, MarkResult, audit

__all__ = [
    "AuditReport",
    "CalibratedReport",
    "Combined",
    "MarkResult",
    "NotAuditable",
    "Place",
    "Pool",
    "audit",
    "calibrated",
    "combined",
    "mark_p_values",
    "pool",
]
