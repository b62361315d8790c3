"""Reads and writes one architecture as a file: YAML for people, JSON for programs, HAT's form to read."""

from __future__ import annotations

from pathlib import Path

from automoe.space.architecture import Architecture, DecoderLayerArch, EncoderLayerArch
from automoe.space.files.space_file import read_space_file
from automoe.space.files.yaml_file import write_form


def read_architecture(path: str | Path) -> Architecture:
    """Reads an architecture: our YAML, `to_dict` as `.json`, or a sub-transformer file of HAT or AutoMoE.

    Sizes that a layer leaves out: `qkv_dim` is the side's `dim`, `cross_heads` is `heads`, `cross_qkv_dim` is
    `qkv_dim`, `cross_layers` and `top_k` are 1.

    Raises:
        SpaceError: the first mistake of the file, with its line; or the file leaves something to choose.
        DependencyError: PyYAML is not installed (JSON does not need it).
    """
    return read_space_file(path).architecture()


def write_architecture(arch: Architecture, path: str | Path) -> None:
    """Writes an architecture as YAML or JSON, by the suffix of `path`; `read_architecture` reads it back.

    Raises:
        SpaceError: the suffix is neither `.yaml`, `.yml` nor `.json`.
    """
    write_form(path, json_form=arch.to_dict(), yaml_text=architecture_yaml(arch))


def architecture_yaml(arch: Architecture) -> str:
    """The YAML form with every size spelt out, one line a layer."""
    lines = []
    for side, sizes in (("encoder", arch.encoder), ("decoder", arch.decoder)):
        lines += [f"{side}:", f"  dim: {sizes.dim}", "  layers:"]
        lines += [f"    - {{{_layer_yaml(layer)}}}" for layer in sizes.layers]
    return "\n".join(lines) + "\n"


def _layer_yaml(layer: EncoderLayerArch) -> str:
    sizes: dict[str, object] = {"heads": layer.heads, "qkv_dim": layer.qkv_dim}
    if isinstance(layer, DecoderLayerArch):
        sizes |= {
            "cross_heads": layer.cross_heads,
            "cross_qkv_dim": layer.cross_qkv_dim,
            "cross_layers": layer.cross_layers,
        }
    sizes |= {"expert_widths": list(layer.expert_widths), "top_k": layer.top_k}
    return ", ".join(f"{key}: {value}" for key, value in sizes.items())
