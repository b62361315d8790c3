"""`Placement`: which of the supernet's experts fills which slot of an architecture.

An `Architecture` says how many experts a layer has and how wide each is. A layer of the supernet holds
more and wider ones, so there are many ways to choose them; a placement is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from automoe.errors import SpaceError
from automoe.files import digest_of
from automoe.space.architecture import Architecture, EncoderLayerArch
from automoe.space.slices import slice_error


@dataclass(frozen=True, kw_only=True)
class Placement:
    """For every layer the supernet's expert in each slot: `encoder[layer][slot]` is an expert's index."""

    encoder: tuple[tuple[int, ...], ...]
    decoder: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        for side, chosen in (("encoder", self.encoder), ("decoder", self.decoder)):
            for index, slots in enumerate(chosen):
                for slot, expert in enumerate(slots):
                    if not isinstance(expert, int) or isinstance(expert, bool) or expert < 0:
                        key = f"placement.{side}[{index}][{slot}]"
                        raise SpaceError("is not the index of an expert", key=key, value=expert, allowed=">= 0")

    @property
    def digest(self) -> str:
        """Hash of the JSON form, 12 hexadecimal digits: equal placements, equal digests."""
        return digest_of(self.to_dict())

    @classmethod
    def first(cls, arch: Architecture) -> Placement:
        """Slot i takes expert i. The widths run from wide to narrow on both sides, so it always fits."""
        return cls(
            encoder=tuple(tuple(range(layer.num_experts)) for layer in arch.encoder.layers),
            decoder=tuple(tuple(range(layer.num_experts)) for layer in arch.decoder.layers),
        )

    @classmethod
    def sample(cls, arch: Architecture, maximum: Architecture, rng: np.random.Generator) -> Placement:
        """Draws for every slot, widest first, one of the free experts of `maximum` that are wide enough.

        Raises:
            SpaceError: `arch` is no slice of `maximum`.
        """
        if (misfit := slice_error(arch, maximum)) is not None:
            raise misfit
        return cls(
            encoder=tuple(
                _sample_layer(layer, large, rng)
                for layer, large in zip(arch.encoder.layers, maximum.encoder.layers, strict=False)
            ),
            decoder=tuple(
                _sample_layer(layer, large, rng)
                for layer, large in zip(arch.decoder.layers, maximum.decoder.layers, strict=False)
            ),
        )

    def check(self, arch: Architecture, maximum: Architecture) -> None:
        """Checks that every slot of `arch` has an expert of `maximum` of its own that is wide enough.

        Raises:
            SpaceError: names the first slot that has none.
        """
        sides = (
            ("encoder", self.encoder, arch.encoder.layers, maximum.encoder.layers),
            ("decoder", self.decoder, arch.decoder.layers, maximum.decoder.layers),
        )
        for side, chosen, layers, large_layers in sides:
            if len(chosen) != len(layers):
                raise SpaceError(
                    f"the architecture has {len(layers)} layers", key=f"placement.{side}", value=len(chosen)
                )
            for index, (slots, layer, large) in enumerate(zip(chosen, layers, large_layers, strict=False)):
                _check_layer(f"placement.{side}[{index}]", slots, layer, large)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return {
            "encoder": [list(slots) for slots in self.encoder],
            "decoder": [list(slots) for slots in self.decoder],
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Placement:
        """Reads the JSON form of `to_dict`. For files that people write use `read_placement`."""
        return cls(
            encoder=tuple(tuple(slots) for slots in form["encoder"]),
            decoder=tuple(tuple(slots) for slots in form["decoder"]),
        )

    def __str__(self) -> str:
        lines = [f"{'layer':<11}expert of each slot, widest slot first"]
        for side, chosen in (("encoder", self.encoder), ("decoder", self.decoder)):
            lines += [f"{side} {index:<3}{' '.join(map(str, slots))}" for index, slots in enumerate(chosen)]
        return "\n".join(lines)


def _sample_layer(layer: EncoderLayerArch, large: EncoderLayerArch, rng: np.random.Generator) -> tuple[int, ...]:
    # Widest slot first would starve later slots only if a narrow slot could take the last wide expert
    # before a wide one does: going from wide to narrow, the candidates only grow, so this never fails.
    taken: list[int] = []
    for width in layer.expert_widths:
        free = [e for e, room in enumerate(large.expert_widths) if room >= width and e not in taken]
        taken.append(int(rng.choice(free)))
    return tuple(taken)


def _check_layer(key: str, slots: tuple[int, ...], layer: EncoderLayerArch, large: EncoderLayerArch) -> None:
    if len(slots) != layer.num_experts or len(set(slots)) != len(slots):
        raise SpaceError(f"needs {layer.num_experts} different experts, one a slot", key=key, value=list(slots))
    for slot, (expert, width) in enumerate(zip(slots, layer.expert_widths, strict=True)):
        if not 0 <= expert < large.num_experts:
            raise SpaceError(
                "there is no such expert",
                key=f"{key}[{slot}]",
                value=expert,
                allowed=f"0 to {large.num_experts - 1}",
            )
        if large.expert_widths[expert] < width:
            raise SpaceError(
                f"the expert is {large.expert_widths[expert]} wide, the slot needs {width}",
                key=f"{key}[{slot}]",
                value=expert,
            )
