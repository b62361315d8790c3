"""`PublishedBleu`: BLEU of published sub-transformers, from scratch and with weights inherited from supernets.

The file is JSON lines, plain or gzip-compressed, one a sub-transformer of HAT's WMT space, as Jawahar et al. 2024
(arXiv:2310.16712) published them for supernets of HAT (Wang et al. 2020), of the sandwich rule, and of the mixtures
of Jawahar et al. 2024 (arXiv:2306.04845):

    {"scratch": {"valid_BLEU": 24.3, "test_BLEU": 25.6,
                 "arch_info": ["decoder-layer-num-subtransformer: 1", ...],
                 "num_parameters_without_embedding_weights": 22199936,
                 "total_flops_without_last_layer": 1411215528, ...},
     "HAT": {"valid_BLEU": 23.51, "test_BLEU": 23.98},
     "Supernet (Sandwich)": {...}, "Layer-wise MoS": {...}, "Neuron-wise MoS": {...}}

Every name but "scratch" is a supernet; all lines name the same ones. Other keys are ignored.

Shape suffixes: N sub-transformers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from automoe.errors import DataError, did_you_mean
from automoe.files import unpacked

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SCRATCH = "scratch"
_PARAMETERS, _FLOPS = "num_parameters_without_embedding_weights", "total_flops_without_last_layer"
_DEPTH = "decoder-layer-num-subtransformer"


@dataclass(frozen=True, kw_only=True)
class PublishedBleu:
    """BLEU of N sub-transformers on one split, 0 to 100, and what they cost."""

    path: Path
    """The file that it was read from."""
    split: str
    scratch_N: FloatArray
    """Of each sub-transformer trained from scratch, with one seed."""
    inherited: Mapping[str, FloatArray]
    """The same with the weights of a supernet, by its name."""
    decoder_layers_N: IntArray
    parameters_N: IntArray
    """Without embeddings."""
    flops_N: IntArray
    """Of one pass of 30 tokens on each side, without the output layer."""

    def __len__(self) -> int:
        return len(self.scratch_N)


def read_published_bleu(path: Path, split: Literal["valid", "test"] = "valid") -> PublishedBleu:
    """Reads a table of published BLEU.

    Args:
        path: the file, plain or gzip-compressed.
        split: the sentences that BLEU is of.

    Raises:
        DataError: the file is missing, damaged or holds fewer than two sub-transformers; a line is no JSON object,
            lacks something, holds what is no BLEU or no count, names other supernets than the first, or describes a
            sub-transformer that is there already. File, line and key say where.
    """
    lines = dict(_lines(path))
    if len(lines) < 2:
        raise DataError(f"holds {len(lines)} sub-transformer(s): there is nothing to rank", file=path)
    rows = [_Row(line, path, number) for number, line in lines.items()]
    supernets = tuple(name for name in rows[0].form if name != SCRATCH)
    if not supernets:
        raise DataError("names no supernet beside 'scratch'", file=path, line=rows[0].number)
    for row in rows:
        row.check_names((SCRATCH, *supernets))
    _check_all_differ(rows, path)
    return PublishedBleu(
        path=path,
        split=split,
        scratch_N=np.array([row.bleu(SCRATCH, split) for row in rows]),
        inherited={name: np.array([row.bleu(name, split) for row in rows]) for name in supernets},
        decoder_layers_N=np.array([row.decoder_layers() for row in rows]),
        parameters_N=np.array([row.count(_PARAMETERS) for row in rows]),
        flops_N=np.array([row.count(_FLOPS) for row in rows]),
    )


class _Row:
    """One line, read key by key."""

    def __init__(self, text: str, path: Path, number: int) -> None:
        self.path, self.number = path, number
        try:
            self.form = json.loads(text)
        except ValueError as error:
            raise self.mistake(f"is no JSON: {error}", hint="The line is torn: complete it or remove it") from error
        if not isinstance(self.form, dict):
            raise self.mistake("is no JSON object")

    def mistake(self, problem: str, **fields: Any) -> DataError:
        return DataError(problem, file=self.path, line=self.number, **fields)

    def check_names(self, names: tuple[str, ...]) -> None:
        for name in names:
            if not isinstance(self.form.get(name), dict):
                raise self.mistake(
                    "is missing, or no JSON object",
                    key=name,
                    hint=did_you_mean(name, set(self.form).difference(names)),
                )
        if more := [name for name in self.form if name not in names]:
            raise self.mistake("is not in the first line", key=more[0])

    def bleu(self, name: str, split: str) -> float:
        value = self._at(name, key := f"{split}_BLEU")
        if not _is_number(value) or not 0 <= value <= 100:
            raise self.mistake("is no BLEU", key=f"{name}.{key}", value=value, allowed="0 to 100")
        return float(value)

    def count(self, key: str) -> int:
        value = self._at(SCRATCH, key)
        if not _is_number(value) or value != int(value) or not 0 < value < 2**63:
            raise self.mistake("is no whole number above 0", key=f"{SCRATCH}.{key}", value=value)
        return int(value)

    def architecture(self) -> tuple[str, ...]:
        lines = self._at(SCRATCH, "arch_info")
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise self.mistake("is no list of 'key: value'", key=f"{SCRATCH}.arch_info")
        return tuple(lines)

    def decoder_layers(self) -> int:
        found = [line.partition(":")[2].strip() for line in self.architecture() if line.partition(":")[0] == _DEPTH]
        if len(found) != 1 or not found[0].isdecimal():
            shown = ", ".join(found) or "none"
            raise self.mistake(
                "has to be there once, as a whole number", key=f"{SCRATCH}.arch_info: {_DEPTH}", value=shown
            )
        return int(found[0])

    def _at(self, name: str, key: str) -> Any:
        if key not in self.form[name]:
            raise self.mistake("is missing", key=f"{name}.{key}", hint=did_you_mean(key, self.form[name]))
        return self.form[name][key]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_all_differ(rows: list[_Row], path: Path) -> None:
    line_of: dict[tuple[str, ...], int] = {}
    for row in rows:
        first = line_of.setdefault(row.architecture(), row.number)
        if first != row.number:
            raise row.mistake(
                f"describes the sub-transformer of line {first} again",
                key=f"{SCRATCH}.arch_info",
                hint="Remove one of the two lines: what is there twice would count twice",
            )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
    try:
        text = unpacked(path, "Give a published table of BLEU (.jsonl, .jsonl.gz)").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"is not valid UTF-8: byte 0x{error.object[error.start]:02x}", file=path) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line
