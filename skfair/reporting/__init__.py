"""What is handed over with a model: an audit of its predictions by group as one HTML file, and a model card."""

from skfair.reporting._audit import AuditReport, audit_report
from skfair.reporting._model_card import model_card

__all__ = ["AuditReport", "audit_report", "model_card"]
