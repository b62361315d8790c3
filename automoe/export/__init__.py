"""Finished bundles out of trained models."""

from automoe.export.bundle import export_bundle
from automoe.export.model_card import model_card

__all__ = ["export_bundle", "model_card"]
