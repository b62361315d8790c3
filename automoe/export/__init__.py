"""Finished bundles out of trained models."""

from automoe.export.bundle import export_bundle, rewrite_card
from automoe.export.card_facts import CardFacts, KeptLimit, MeasuredLatency, SampleTranslation, TestScore
from automoe.export.model_card import model_card

__all__ = [
    "CardFacts",
    "KeptLimit",
    "MeasuredLatency",
    "SampleTranslation",
    "TestScore",
    "export_bundle",
    "model_card",
    "rewrite_card",
]
