"""A model on disk between stages: `model.safetensors` (weights) and `model.json` (architecture, settings)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch

from automoe.files import sha256_of, write_atomically, write_json
from automoe.nn.config import TransformerConfig
from automoe.nn.transformer import Transformer
from automoe.space import Architecture

WEIGHTS, SIZES = "model.safetensors", "model.json"


def write_model(transformer: Transformer, folder: Path, **info: Any) -> None:
    """Writes a model's weights and sizes into `folder`; `info` (JSON) is kept beside them."""
    weights = weights_as_bytes(transformer)
    write_atomically(folder / WEIGHTS, weights)
    sizes = {"architecture": transformer.maximum.to_dict(), "model": transformer.config.to_dict()}
    write_json(folder / SIZES, sizes | {"weights_sha256": hashlib.sha256(weights).hexdigest()} | info)


def read_model(folder: Path) -> Transformer:
    """Reads the model that `write_model` wrote, in evaluation mode.

    Raises:
        OSError, ValueError, KeyError: the folder is no such folder, or its weights were altered.
    """
    sizes = json.loads((folder / SIZES).read_bytes())
    if sha256_of(folder / WEIGHTS) != sizes["weights_sha256"]:
        raise ValueError(f"{WEIGHTS} was altered after it was written")
    arch = Architecture.from_dict(sizes["architecture"])
    transformer = Transformer.without_weights(arch, TransformerConfig.from_dict(sizes["model"]))
    weights = safetensors.torch.load_file(folder / WEIGHTS)
    transformer.load_state_dict(weights, strict=True, assign=True)
    return transformer.eval()


def weights_as_bytes(transformer: Transformer) -> bytes:
    """The weights as a safetensors file: names and shapes of `Transformer`, nothing else."""
    return safetensors.torch.save({name: t.contiguous() for name, t in transformer.state_dict().items()})
