"""Training of the joint SentencePiece segmenter, the same bytes for the same sentences."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

from automoe.data.config import VocabularyConfig
from automoe.decoding.placeholders import SYMBOLS, hide_placeholders
from automoe.decoding.symbols import BOS, EOS, PAD, UNK
from automoe.errors import DataError, DependencyError

_MAX_BYTES = 1 << 20
"""Longest sentence in bytes; SentencePiece would skip those above 4192 silently."""


def train_segmenter(texts: Iterable[str], config: VocabularyConfig, placeholder_pattern: str | None) -> bytes:
    """Trains one SentencePiece model for both languages.

    The text is segmented as it is (it is normalised before, by `automoe.decoding.segmenter.normalise`).

    Args:
        texts: normalised sentences of both languages, placeholders in their original form.
        config: size and kind of the vocabulary.
        placeholder_pattern: what becomes `<ph1>`, ... first; None nothing.

    Returns:
        The bytes of the model.

    Raises:
        DataError: the text has too few different pieces for the vocabulary, or more characters than it has room.
        DependencyError: sentencepiece is not installed.
    """
    try:
        from sentencepiece import SentencePieceTrainer
    except ImportError as error:
        raise DependencyError("sentencepiece", extra="runtime") from error
    if placeholder_pattern is not None:
        texts = (hide_placeholders(text, placeholder_pattern)[0] for text in texts)
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=config.kind,
            vocab_size=config.size,
            character_coverage=config.character_coverage,
            byte_fallback=config.byte_fallback,
            bos_id=BOS,
            pad_id=PAD,
            eos_id=EOS,
            unk_id=UNK,
            unk_surface="⁇",  # the default has spaces around it, which the text had not
            user_defined_symbols=list(SYMBOLS),
            normalization_rule_name="identity",
            max_sentence_length=_MAX_BYTES,
            num_threads=1,  # sums in another order would change the model
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _worded(str(error), config) from error
    return model.getvalue()


def _worded(message: str, config: VocabularyConfig) -> Exception:
    """SentencePiece's message in our words; what we do not know stays its own error."""
    key = "data.vocabulary.size"
    if largest := re.search(r"Vocabulary size too high .* value <= (\d+)", message):
        return DataError(
            "the training text is too small for so large a vocabulary",
            key=key,
            value=config.size,
            allowed=f"at most {largest[1]} for this text",
        )
    if needed := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return DataError(
            "the characters of the training text alone need more room",
            key=key,
            value=config.size,
            allowed=f"more than {needed[1]} for this text",
            hint="Raise it, or lower data.vocabulary.character_coverage",
        )
    if "!sentences_.empty()" in message:
        return DataError("there is no text to train the segmenter on")
    return RuntimeError(message)
