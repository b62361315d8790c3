"""Where PyTorch runs a model and in what numbers: devices and precisions by the names that a user gives."""

from __future__ import annotations

import torch

from automoe.errors import ConfigError, did_you_mean

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Precisions of weights and states. Routers and log-probabilities are float32 in all of them."""


def find_device(name: str, key: str = "device") -> torch.device:
    """A device of this machine; another one never takes its place.

    Args:
        name: "cpu"; "cuda", the first GPU that PyTorch sees; or "cuda:1" for another of them.
        key: where the user gave it, for the message.

    Raises:
        ConfigError: there is no such device here; it names those that are.
    """
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [f"cuda:{index}" for index in range(num_gpus)]
    if name == "cuda" and gpus:
        return torch.device(gpus[0])
    present = ["cpu", *gpus]
    if name in present:
        return torch.device(name)
    if not str(name).startswith("cuda"):
        hint = did_you_mean(str(name), ["cpu", "cuda"])
    elif gpus:
        hint = "Numbers begin at 0; CUDA_VISIBLE_DEVICES hides GPUs"
    elif torch.version.cuda is None:
        hint = f"PyTorch {torch.__version__} was built without CUDA: install one that was built with it"
    else:
        hint = "PyTorch sees no GPU: nvidia-smi says whether the driver does"
    raise ConfigError(key, name, "is no device of this machine", allowed=", ".join(present), hint=hint)
