"""How the experts of the chosen model are used, counted on test tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from automoe.report.data import ChosenModel
from automoe.space import DecoderLayerArch, EncoderLayerArch


@dataclass(frozen=True, kw_only=True)
class LayerUse:
    """One layer of the chosen model and the share of tokens that each of its experts processes."""

    side: str
    index: int
    layer: EncoderLayerArch
    shares: tuple[float, ...] | None
    """0 to 1, in the order of `expert_widths`; 1 for a dense layer; None where nothing was counted."""

    @property
    def name(self) -> str:
        """ "encoder 0"."""
        return f"{self.side} {self.index}"

    @property
    def has_experts(self) -> bool:
        """Whether the layer has more than one."""
        return self.layer.num_experts > 1

    @property
    def reached(self) -> int:
        """How many experts a token reaches; 0 where nothing was counted."""
        return sum(share > 0 for share in self.shares or ())

    @property
    def sees(self) -> int:
        """How many of the last encoder layers its cross-attention sees; 0 in the encoder."""
        return self.layer.cross_layers if isinstance(self.layer, DecoderLayerArch) else 0


def layer_uses(chosen: ChosenModel) -> Iterator[LayerUse]:
    """The layers of the chosen model, the encoder's first.

    Raises:
        ValueError: a layer has not as many loads as experts.
    """
    for side, index, layer in chosen.architecture.layers():
        yield LayerUse(side=side, index=index, layer=layer, shares=_shares(chosen, f"{side} {index}", layer))


def _shares(chosen: ChosenModel, name: str, layer: EncoderLayerArch) -> tuple[float, ...] | None:
    if layer.num_experts == 1:
        return (1.0,)
    loads = chosen.expert_loads.get(name)
    if loads is None or sum(loads) == 0:
        return None
    if len(loads) != layer.num_experts:
        raise ValueError(f"{name} has {layer.num_experts} experts and {len(loads)} loads")
    return tuple(min(1.0, load * layer.top_k / sum(loads)) for load in loads)
