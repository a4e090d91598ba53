"""What any model says of marks that were drawn before its training."""

from ufm.auditing.audits import audit
from ufm.auditing.given import CalibratedReport, calibrated
from ufm.auditing.pools import pool
from ufm.auditing.reports import AuditReport, MarkResult
from ufm.evidence.coins import Privacy
from ufm.evidence.exact import Combined, Place, combined, mark_p_values
from ufm.evidence.marks import NotAuditable, Pool
from ufm.evidence.power import Power

__all__ = [
    "AuditReport",
    "CalibratedReport",
    "Combined",
    "MarkResult",
    "NotAuditable",
    "Place",
    "Pool",
    "Power",
    "Privacy",
    "audit",
    "calibrated",
    "combined",
    "mark_p_values",
    "pool",
]
