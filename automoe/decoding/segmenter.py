"""`Segmenter`: text to token ids and back, by a SentencePiece model and numbered placeholders.

Shape suffixes: L tokens of one sentence, the end-of-sentence symbol included.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automoe.decoding.placeholders import (
    DEFAULT_PATTERN,
    SYMBOLS,
    check_pattern,
    hide_placeholders,
    restore_placeholders,
)
from automoe.decoding.stepper import Int64Array
from automoe.decoding.symbols import BOS, EOS, PAD, UNK
from automoe.errors import DataError, DependencyError
from automoe.files import digest_of

_MARK = "\u2581"
"""SentencePiece writes a space as this character; in a text it means a space."""
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """One sentence as the model sees it, with what is needed to write its translation as text."""

    ids_L: Int64Array
    """Token ids; the last one is the end-of-sentence symbol."""
    placeholders: tuple[str, ...]
    """The original of `<ph1>`, `<ph2>`, ..."""


class Segmenter:
    """A SentencePiece model and a placeholder pattern; encoding is deterministic (no sampling).

    `decode(*encode(text))` is `normalise(text)` wherever the model knows the characters; others become "⁇".

    Args:
        model: the bytes of a SentencePiece model whose special symbols have the ids `BOS`, `PAD`, `EOS`, `UNK`.
        placeholder_pattern: regular expression of placeholders; None leaves them as text.
        file: where the model comes from, for errors.

    Raises:
        DataError: not a SentencePiece model, or one with other ids or without the placeholder symbols.
        ConfigError: the pattern is no regular expression.
        DependencyError: sentencepiece is not installed.
    """

    bos, pad, eos, unk = BOS, PAD, EOS, UNK

    def __init__(
        self,
        model: bytes,
        placeholder_pattern: str | None = DEFAULT_PATTERN,
        *,
        file: str | Path | None = None,
    ) -> None:
        if placeholder_pattern is not None:
            check_pattern(placeholder_pattern)
        self.model = model
        self.placeholder_pattern = placeholder_pattern
        self._processor = _load(model, file)
        _check_symbols(self._processor, placeholder_pattern is not None, file)

    @classmethod
    def from_file(cls, path: Path, placeholder_pattern: str | None = DEFAULT_PATTERN) -> Segmenter:
        """Reads the SentencePiece model from the file `path`.

        Raises:
            DataError: the file is missing, or holds something else.
        """
        if not path.is_file():
            raise DataError("there is no such SentencePiece model", file=path)
        return cls(path.read_bytes(), placeholder_pattern, file=path)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, special symbols included."""
        return int(self._processor.get_piece_size())

    @property
    def digest(self) -> str:
        """Hash of all that encoding depends on: equal digests segment alike."""
        return digest_of({"model": hashlib.sha256(self.model).hexdigest(), "placeholders": self.placeholder_pattern})

    def pieces(self) -> list[str]:
        """The text of every token id, in the order of ids; `▁` stands for a space."""
        return [self._processor.id_to_piece(index) for index in range(self.vocab_size)]

    def encode(self, text: str, numbering: Sequence[str] | None = None) -> Segmented:
        """Segments one sentence.

        Args:
            text: any text; it is normalised first. The empty text gives the end-of-sentence symbol alone.
            numbering: `placeholders` of the source, when `text` is its translation (training pairs).

        Returns:
            Token ids, the end-of-sentence symbol appended, and the placeholders that were hidden.
        """
        text = normalise(text)
        placeholders: tuple[str, ...] = ()
        if self.placeholder_pattern is not None:
            text, placeholders = hide_placeholders(text, self.placeholder_pattern, numbering)
        return Segmented(
            ids_L=np.array([*self._processor.encode(text), EOS], dtype=np.int64), placeholders=placeholders
        )

    def decode(self, ids: Iterable[int], placeholders: Sequence[str] = ()) -> str:
        """Writes token ids as text and puts the placeholders back.

        Args:
            ids: token ids; begin, padding and end symbols are left out wherever they stand.
            placeholders: those of the source, as `encode` gave them. A symbol without one stays (`<ph5>`).
        """
        kept = [int(index) for index in ids if index not in (BOS, PAD, EOS)]
        # Of bytes (byte_fallback) a model can make a line end, which would tear the output's lines apart.
        return normalise(restore_placeholders(self._processor.decode(kept), placeholders))


def normalise(text: str) -> str:
    """The form in which all text is segmented, cleaned and compared.

    Unicode NFC; control characters and byte order marks removed; lone surrogates become U+FFFD; any run of
    white space (line ends too) becomes one space, none at the ends. Normalising twice changes nothing.
    """
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text).replace(_MARK, " ")
    text = unicodedata.normalize("NFC", _CONTROL.sub("", text))
    return " ".join(text.split())


def _load(model: bytes, file: str | Path | None) -> Any:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise DependencyError("sentencepiece", extra="runtime") from error
    if not model:
        raise DataError("the SentencePiece model is empty", file=file)
    try:
        return SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise DataError("is not a SentencePiece model, or a damaged one", file=file) from error


def _check_symbols(processor: Any, placeholders: bool, file: str | Path | None) -> None:
    found = {
        "bos": processor.bos_id(),
        "pad": processor.pad_id(),
        "eos": processor.eos_id(),
        "unk": processor.unk_id(),
    }
    wanted = {"bos": BOS, "pad": PAD, "eos": EOS, "unk": UNK}
    if found != wanted:
        raise DataError(
            "the SentencePiece model has special symbols with other ids",
            file=file,
            value=found,
            key="special symbols",
            allowed=str(wanted),
            hint="Train it with bos_id=0 pad_id=1 eos_id=2 unk_id=3",
        )
    missing = [symbol for symbol in SYMBOLS if processor.piece_to_id(symbol) == UNK] if placeholders else []
    if missing:
        raise DataError(
            f"the SentencePiece model lacks the placeholder symbols {' '.join(missing)}",
            file=file,
            hint=f"Train it with user_defined_symbols={','.join(SYMBOLS)}, or use no placeholder pattern",
        )
