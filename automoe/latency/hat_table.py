"""`PublishedTable`: a latency table of HAT or AutoMoE, which tells averages over layers instead of architectures.

The file is CSV, plain or gzip-compressed, a row a measurement, in the order in which they were made: the ten averages
that the reference code predicts from, then encoder and decoder latency and their standard deviations in milliseconds
(Wang et al. 2020, section 3.3; Jawahar et al. 2023, whose tables are the same).

Shape suffixes: N measurements, F features.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from automoe.errors import DataError, did_you_mean
from automoe.latency.packed import table_bytes
from automoe.predictor.calibration import MIN_ROWS
from automoe.predictor.features import AVERAGES, Features
from automoe.predictor.layer_averages import AVERAGE_NAMES

FloatArray = npt.NDArray[np.float64]

FEATURE_COLUMNS = (
    "encoder_embed_dim",
    "encoder_layer_num",
    "encoder_ffn_embed_dim_avg",
    "encoder_self_attention_heads_avg",
    "decoder_embed_dim",
    "decoder_layer_num",
    "decoder_ffn_embed_dim_avg",
    "decoder_self_attention_heads_avg",
    "decoder_ende_attention_heads_avg",
    "decoder_arbitrary_ende_attn_avg",
)
"""In the order of `AVERAGE_NAMES`."""
_ENCODER, _DECODER = "latency_mean_encoder", "latency_mean_decoder"
_SPREADS = ("latency_std_encoder", "latency_std_decoder")
COLUMNS = (*FEATURE_COLUMNS, _ENCODER, _DECODER, *_SPREADS)
"""What a table must hold, in any order."""
_DEPTH = "decoder_layer_num"
_LEAST_MS, _MOST_MS = 1.0, 60_000.0
"""The middle of a table in milliseconds lies between these: between 50 and 13,000 in those that were published. In
seconds it would lie below, in microseconds above."""


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """Measurements of architectures of which averages are known."""

    path: Path
    """The file that it was read from."""
    features: Features
    """The columns `averages.*`, and decoder depths."""
    encoder_ms_N: FloatArray
    decoder_ms_N: FloatArray
    std_ms_N: FloatArray
    """Standard deviation of the measurements of each row, of encoder and decoder taken together as independent."""
    ignored: tuple[str, ...] = ()
    """Columns of the file that were not read."""

    @property
    def latency_ms_N(self) -> FloatArray:
        """Encoder and decoder."""
        return self.encoder_ms_N + self.decoder_ms_N

    @property
    def described(self) -> Features:
        """What the table tells of its architectures."""
        return self.features

    @property
    def label(self) -> str:
        """The name of the file, without its endings."""
        return self.path.name.removesuffix(".gz").removesuffix(".csv")

    def __len__(self) -> int:
        return len(self.features)


def read_hat_table(path: Path) -> PublishedTable:
    """Reads a published latency table.

    Raises:
        DataError: the file is missing, damaged or no CSV; a column is missing; a cell is no positive number; a row
            is there twice; there are too few rows; or the latencies are no milliseconds. File, line and column say
            where.
    """
    return parse_hat_table(table_bytes(path), path)


def parse_hat_table(content: bytes, path: Path) -> PublishedTable:
    """Reads the text of a published latency table.

    Args:
        content: the bytes of the CSV file.
        path: the file, for messages.

    Raises:
        DataError: as `read_hat_table`.
    """
    header, lines = _cells(_decoded(content, path), path)
    place = _places(header, path)
    rows = {line: _numbers(cells, header, place, path, line) for line, cells in lines.items()}
    _check_rows(rows, path)
    columns = dict(zip(COLUMNS, np.array(list(rows.values())).T, strict=True))
    table = PublishedTable(
        path=path,
        features=Features(
            np.column_stack([columns[name] for name in FEATURE_COLUMNS]),
            tuple(f"{AVERAGES}.{name}" for name in AVERAGE_NAMES),
            columns[_DEPTH].astype(np.int64),
        ),
        encoder_ms_N=columns[_ENCODER],
        decoder_ms_N=columns[_DECODER],
        std_ms_N=np.hypot(*(columns[name] for name in _SPREADS)),
        ignored=tuple(name for name in header if name not in COLUMNS),
    )
    _check_unit(table.latency_ms_N, path)
    return table


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not valid UTF-8: byte 0x{content[error.start]:02x}",
            file=path,
            line=content.count(b"\n", 0, error.start) + 1,
            hint="Give a CSV file, plain or gzip-compressed",
        ) from error


def _cells(text: str, path: Path) -> tuple[list[str], dict[int, list[str]]]:
    """The header, and the cells of the other lines that are not blank, by their number."""
    reader = csv.reader(io.StringIO(text, newline=""))
    lines: dict[int, list[str]] = {}
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines[reader.line_num] = [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(f"is no CSV ({error})", file=path, line=reader.line_num) from error
    if not lines:
        raise DataError("is empty", file=path, hint=f"Its first line names the columns: {', '.join(COLUMNS)}")
    return lines.pop(next(iter(lines))), lines


def _places(header: Sequence[str], path: Path) -> Mapping[str, int]:
    """Where each column stands."""
    if missing := [name for name in COLUMNS if name not in header]:
        others = [name for name in header if name not in COLUMNS]
        there = f"The columns that there are: {', '.join(name[:40] for name in header[:20])}"
        raise DataError(
            f"{len(missing)} of the {len(COLUMNS)} columns that it takes are missing: {', '.join(missing)}",
            file=path,
            line=1,
            key=missing[0],
            hint=" ".join(filter(None, [did_you_mean(missing[0], others), there])),
        )
    if twice := [name for name in COLUMNS if header.count(name) > 1]:
        raise DataError("the column is there twice", file=path, line=1, key=twice[0])
    return {name: header.index(name) for name in COLUMNS}


def _numbers(
    cells: Sequence[str], header: Sequence[str], place: Mapping[str, int], path: Path, line: int
) -> tuple[float, ...]:
    """The numbers of a line, in the order of `COLUMNS`."""
    if len(cells) != len(header):
        raise DataError(
            f"the line has {len(cells)} cells, the header {len(header)}",
            file=path,
            line=line,
            hint="The line is torn: complete it or remove it",
        )
    return tuple(_number(name, cells[place[name]], path, line) for name in COLUMNS)


def _number(name: str, cell: str, path: Path, line: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    is_spread = name in _SPREADS
    if not math.isfinite(value) or value < 0 or (value == 0 and not is_spread):
        raise DataError(
            f"is no {'number of 0 or more' if is_spread else 'positive number'}",
            file=path,
            line=line,
            key=name,
            value=cell,
            hint="Measure the row again, or remove it",
        )
    if name == _DEPTH and value != int(value):
        raise DataError("is no whole number of layers", file=path, line=line, key=name, value=cell)
    return value


def _check_rows(rows: Mapping[int, tuple[float, ...]], path: Path) -> None:
    if len(rows) < MIN_ROWS:
        raise DataError(
            f"holds {len(rows)} measurement(s), too few to learn from",
            file=path,
            allowed=f"at least {MIN_ROWS}",
            hint="Measure more architectures",
        )
    line_of: dict[tuple[float, ...], int] = {}
    for line, row in rows.items():
        if row in line_of:
            raise DataError(
                f"is the same measurement as line {line_of[row]}, to the last digit",
                file=path,
                line=line,
                hint="Remove one of the two lines: a row that is there twice is learnt and tested at the same time",
            )
        line_of[row] = line


def _check_unit(latency_ms_N: FloatArray, path: Path) -> None:
    middle = float(np.median(latency_ms_N))
    for is_wrong, unit, fix in (
        (middle < _LEAST_MS, "seconds", "Multiply the four columns latency_* by 1000"),
        (middle > _MOST_MS, "microseconds", "Divide the four columns latency_* by 1000"),
    ):
        if is_wrong:
            raise DataError(
                f"seems to be in {unit}: encoder and decoder of the middle row take {middle:g} together",
                file=path,
                key=f"{_ENCODER}, {_DECODER}",
                allowed=f"milliseconds, {_LEAST_MS:g} to {_MOST_MS:g}",
                hint=fix,
            )
