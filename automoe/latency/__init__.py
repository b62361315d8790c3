"""Measured latency: profiler, sentences, measured tables."""

from automoe.latency.choose import choose_architectures
from automoe.latency.config import ProfileConfig
from automoe.latency.forced_length import ForcedLength
from automoe.latency.measurement import Measurement
from automoe.latency.profiler import ExpertLoads, Profiler
from automoe.latency.sentences import Panel, panel, random_panel
from automoe.latency.table import TABLE_FILE, MeasuredTable, read_table
from automoe.latency.table_header import TableHeader
from automoe.latency.table_writer import TableWriter, measure_missing

__all__ = [
    "TABLE_FILE",
    "ExpertLoads",
    "ForcedLength",
    "MeasuredTable",
    "Measurement",
    "Panel",
    "ProfileConfig",
    "Profiler",
    "TableHeader",
    "TableWriter",
    "choose_architectures",
    "measure_missing",
    "panel",
    "random_panel",
    "read_table",
]
