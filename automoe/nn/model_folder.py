"""A model on disk between stages: `model.safetensors` (weights) and `model.json` (architecture, settings)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from automoe.files import write_atomically, write_json
from automoe.nn.config import TransformerConfig
from automoe.nn.transformer import Transformer
from automoe.space import Architecture

WEIGHTS, SIZES = "model.safetensors", "model.json"


def write_model(transformer: Transformer, folder: Path, **info: Any) -> None:
    """Writes a model's weights and sizes into `folder`; `info` (JSON) is kept beside them."""
    write_atomically(folder / WEIGHTS, weights_as_bytes(transformer))
    sizes = {"architecture": transformer.maximum.to_dict(), "model": transformer.config.to_dict()}
    write_json(folder / SIZES, sizes | info)


def read_model(folder: Path) -> Transformer:
    """Reads the model that `write_model` wrote, in evaluation mode.

    Raises:
        OSError, ValueError: the folder is no such folder; finished stages always are.
    """
    sizes = json.loads((folder / SIZES).read_text())
    with torch.device("meta"):
        transformer = Transformer(
            Architecture.from_dict(sizes["architecture"]), TransformerConfig.from_dict(sizes["model"])
        )
    weights = safetensors.torch.load_file(folder / WEIGHTS)
    transformer.load_state_dict(weights, strict=True, assign=True)
    return transformer.eval()


def weights_as_bytes(transformer: Transformer) -> bytes:
    """The weights as a safetensors file: names and shapes of `Transformer`, nothing else."""
    return safetensors.torch.save({name: t.contiguous() for name, t in transformer.state_dict().items()})
