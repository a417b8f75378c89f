"""What is handed over with a model: an audit of its predictions by group, as one HTML file."""

from skfair.reporting._audit import AuditReport, audit_report

__all__ = ["AuditReport", "audit_report"]
