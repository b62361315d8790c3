"""An architecture as it would be shipped, before anybody trains it: for its latency alone.

The weights are random and the routers load all experts of a layer about alike. The rest is as in use: the bundle that
`export_bundle` writes, opened by the backend that translates.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from automoe.decoding import SearchConfig, Stepper
from automoe.errors import DependencyError
from automoe.latency.sentences import random_panel
from automoe.space import Architecture

if TYPE_CHECKING:
    from automoe.nn import Transformer

_LENGTHS = (10, 20, 30) * 11
"""Of the random sentences on which the loads are made even."""


def open_untrained(
    arch: Architecture,
    *,
    vocab_size: int,
    pre_norm: bool,
    backend: str = "onnx",
    precision: str = "float32",
    threads: int = 1,
    device: str = "cpu",
    seed: int = 0,
) -> Stepper:
    """Makes a model of an architecture and opens it as a user would.

    Args:
        arch: the architecture.
        vocab_size: entries of the shared vocabulary.
        pre_norm: whether a layer norm stands before each sub-layer, or after it.
        backend: what runs it; see `automoe.runtime.backend`.
        precision: in which.
        threads: threads within an operation.
        device: where; see the backend.
        seed: of the weights.

    Raises:
        ConfigError: there is no such backend, or it lacks the precision, or the device is not there.
        DependencyError: torch is not installed, or what the backend or the export needs.
    """
    from automoe.runtime.backend import check_device, find_backend, graphs_for

    open_stepper = find_backend(backend)
    check_device(backend, device)
    graphs = graphs_for(backend, precision)  # before the work
    transformer = untrained(arch, vocab_size=vocab_size, pre_norm=pre_norm, seed=seed)
    from automoe.export import export_bundle

    with TemporaryDirectory(prefix="automoe-") as folder:
        bundle = export_bundle(
            transformer,
            Path(folder) / "bundle",
            segmenter_model=b"",  # only text is segmented
            placeholder_pattern=None,
            source_language="xx",
            target_language="yy",
            max_source_tokens=max(_LENGTHS),
            decoding=SearchConfig().to_dict(),
            info={},
            precisions=graphs,
        )
        return open_stepper(bundle, threads=threads, precision=precision, device=device)  # it holds what it needs


def untrained(arch: Architecture, *, vocab_size: int, pre_norm: bool, seed: int = 0) -> Transformer:
    """A model with random weights and even routing, in evaluation mode, on the CPU.

    Args:
        arch: its architecture.
        vocab_size: entries of the shared vocabulary.
        pre_norm: whether a layer norm stands before each sub-layer, or after it.
        seed: another seed draws other weights.

    Raises:
        DependencyError: torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise DependencyError("torch", extra="torch") from error

    from automoe.nn import Transformer, TransformerConfig
    from automoe.nn.even_routing import even_routing
    from automoe.nn.random_weights import randomise

    config = TransformerConfig(vocab_size=vocab_size, pre_norm=pre_norm)
    transformer = Transformer.without_weights(arch, config).to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(seed)
    randomise(transformer, generator)
    panel = random_panel(_LENGTHS, vocab_size, seed=zlib.crc32(b"even routing") + seed)
    even_routing(transformer, [np.array(source) for source in panel.sources], generator)
    return transformer
