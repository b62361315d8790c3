"""A latency table in the form of the published ones, of a machine that we made up.

Shape suffixes: N rows.
"""

import csv
import io

import numpy as np

from automoe.latency.hat_table import COLUMNS


def made_up_cells(rows=200, *, noise=0.02, seed=1, slow=(), slower=1.25):
    """Rows of random averages; latency is linear in decoder depth and width, and `slower` in the rows `slow`."""
    rng = np.random.default_rng([seed, rows])
    depth_N = rng.integers(1, 7, rows)
    decoder_dim_N = rng.choice([512, 640], rows)
    features = [
        *(rng.choice([512, 640], rows), np.full(rows, 6), rng.choice([1024, 2048], rows) + 128 / 6),
        *(rng.integers(12, 48, rows) / 6, decoder_dim_N, depth_N, 1024 + 512 * rng.integers(0, 12, rows) / depth_N),
        *(rng.integers(2, 9, rows), rng.integers(2, 9, rows), rng.integers(1, 4, rows)),
    ]
    scatter_N = np.exp(noise * rng.standard_normal(rows))
    scatter_N[list(slow)] *= slower
    encoder_N = 6.0 * scatter_N
    decoder_N = (12 + depth_N * (30 + decoder_dim_N / 64)) * scatter_N
    return np.column_stack([*features, encoder_N, decoder_N, 0.01 * encoder_N, 0.02 * decoder_N])


def as_csv(cells, names=COLUMNS):
    """The text of a table."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(row.tolist() if isinstance(row, np.ndarray) else row for row in cells)
    return text.getvalue()
