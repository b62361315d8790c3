"""Corpora, cleaning, splits and the segmenter: raw sentence pairs to a folder of text and token ids."""

from automoe.data.cleaning import DROP_REASONS, clean, length_flaw
from automoe.data.config import CleaningConfig, DataConfig, SplitConfig, VocabularyConfig
from automoe.data.corpus import CORPORA, Corpus, open_corpus
from automoe.data.ids import IdArray, write_ids
from automoe.data.prepare import DataSummary, PreparedData, prepare
from automoe.data.segmentation import train_segmenter
from automoe.data.splits import count_overlaps, split_key, split_pairs

__all__ = [
    "CORPORA",
    "DROP_REASONS",
    "CleaningConfig",
    "Corpus",
    "DataConfig",
    "DataSummary",
    "IdArray",
    "PreparedData",
    "SplitConfig",
    "VocabularyConfig",
    "clean",
    "count_overlaps",
    "length_flaw",
    "open_corpus",
    "prepare",
    "split_key",
    "split_pairs",
    "train_segmenter",
    "write_ids",
]
