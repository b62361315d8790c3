"""The chosen architecture, layer by layer, over faint outlines of the largest of its space.

Every expert is a box as wide as its hidden layer and filled as high as the share of tokens that it processes: the
filled area is the work that is done. Colours and strokes are classes of the page's style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from automoe.report.data import ChosenModel
from automoe.report.expert_use import LayerUse, layer_uses
from automoe.report.formats import counted, listed, percent
from automoe.space import DecoderLayerArch, EncoderLayerArch

_GAP = 4
"""Between the boxes of a layer."""
_PAD = 10
_LABEL = 128
"""Width of the words left of an attention bar."""
_BAR, _BOX, _LINE = 11, 38, 17
"""Heights: of an attention bar, an expert, a line of text."""


def draw_architecture(chosen: ChosenModel, *, width: int) -> str:
    """The two stacks as SVG, side by side where there is room, otherwise one above the other."""
    wide = width >= 600
    column = (width - 64) / 2 if wide else width
    uses = list(layer_uses(chosen))
    canvas = _Stacks(chosen, column)
    bottom = canvas.stack("encoder", [u for u in uses if u.side == "encoder"], x=0, y=0)
    if wide:
        bottom = max(bottom, canvas.stack("decoder", [u for u in uses if u.side == "decoder"], x=width - column, y=0))
        canvas.wires(column, width - column, uses)
    else:
        bottom = canvas.stack("decoder", [u for u in uses if u.side == "decoder"], x=0, y=bottom + 14)
    body = "\n".join(canvas.parts)
    return f'<svg viewBox="0 0 {width} {bottom + 1:g}" class="stacks" aria-hidden="true">\n{body}\n</svg>'


class _Stacks:
    """Collects the parts of the drawing and remembers where the layers stand, for the wires between them."""

    def __init__(self, chosen: ChosenModel, column: float) -> None:
        self.parts: list[str] = []
        self.middles: dict[str, float] = {}
        """Height of the middle of an encoder layer, and of the cross-attention of a decoder layer."""
        self._chosen, self._column = chosen, column
        self._inner = column - 2 * _PAD
        layers = [layer for arch in (chosen.largest, chosen.architecture) for _, _, layer in arch.layers()]
        self._per_unit = min(
            (self._inner - _GAP * (layer.num_experts - 1)) / sum(layer.expert_widths) for layer in layers
        )
        attention = max(max(layer.qkv_dim, getattr(layer, "cross_qkv_dim", 0)) for layer in layers)
        self._per_attention = (self._inner - _LABEL) / attention

    def stack(self, side: str, uses: Sequence[LayerUse], *, x: float, y: float) -> float:
        """Draws one side from (x, y) downwards and returns where it ends."""
        small = getattr(self._chosen.architecture, side)
        large = getattr(self._chosen.largest, side)
        depth = f"{len(small.layers)} of {counted(len(large.layers), 'layer')}"
        self._text(x, y + 14, side.capitalize(), "head")
        self._text(x + self._column, y + 14, f"dim {small.dim} of {large.dim}, {depth}", "soft", anchor="end")
        y += 26
        for use, room in zip(uses, [*large.layers, *small.layers[len(large.layers) :]], strict=False):
            y = self._layer(use, room, x, y) + 8
        for index in range(len(small.layers), len(large.layers)):
            self._rect(x + 0.5, y, self._column - 1, 22, "ghost", rounded=5)
            self._text(x + _PAD, y + 15, f"{side} {index}: left out", "soft")
            y += 30
        return y - 8

    def wires(self, left: float, right: float, uses: Sequence[LayerUse]) -> None:
        """Lines from the encoder layers to the cross-attentions that see them."""
        depth = len(self._chosen.architecture.encoder.layers)
        for use in uses:
            for index in range(depth - use.sees, depth):
                begin, end = self.middles[f"encoder {index}"], self.middles.get(use.name, 0.0)
                middle = (left + right) / 2
                path = f"M{left:g} {begin:g}C{middle:g} {begin:g} {middle:g} {end:g} {right + _PAD - 3:g} {end:g}"
                if use.side == "decoder":
                    self.parts.append(f'<path class="wire" d="{path}"/>')

    def _layer(self, use: LayerUse, room: EncoderLayerArch, x: float, y: float) -> float:
        """Draws one layer and returns where it ends."""
        layer, inner = use.layer, x + _PAD
        cross = isinstance(layer, DecoderLayerArch)
        height = _PAD + _LINE * (4 if cross else 2) + 6 + _BOX + 28 + 2
        self._rect(x + 0.5, y, self._column - 1, height, "card", rounded=5)
        self.middles[use.name] = y + height / 2
        many = f"{layer.num_experts} of {counted(room.num_experts, 'expert')}"
        words = f"{many}, top {layer.top_k}" if use.has_experts else "dense"
        line = y + _PAD + 11
        self._text(inner, line, use.name, "name")
        self._text(x + self._column - _PAD, line, words, "soft", anchor="end")
        line += _LINE
        self._attention(inner, line, "self-attention", layer.heads, layer.qkv_dim, room.qkv_dim)
        if isinstance(layer, DecoderLayerArch):
            line += _LINE
            self.middles[use.name] = line - 4
            reach = room.cross_qkv_dim if isinstance(room, DecoderLayerArch) else 0
            self._attention(inner, line, "cross-attention", layer.cross_heads, layer.cross_qkv_dim, reach)
            line += _LINE
            self._text(inner, line, f"to {self._seen(layer.cross_layers)}", "soft")
        self._experts(use, room, inner, line + 10)
        return y + height

    def _seen(self, count: int) -> str:
        depth = len(self._chosen.architecture.encoder.layers)
        return f"encoder {listed([str(index) for index in range(depth - count, depth)])}"

    def _attention(self, x: float, y: float, label: str, heads: int, dim: int, room: int) -> None:
        """A bar as wide as the attention, divided into its heads."""
        self._text(x, y, f"{label} {heads} × {dim // heads}", "soft")
        left, top = x + _LABEL, y - _BAR + 2
        if room > dim:
            beyond = (room - dim) * self._per_attention
            self._rect(left + dim * self._per_attention, top, beyond, _BAR, "ghost")
        for head in range(heads):
            begin = left + head * dim / heads * self._per_attention
            self._rect(begin, top, max(1.0, dim / heads * self._per_attention - 1.5), _BAR, "head-box")

    def _experts(self, use: LayerUse, room: EncoderLayerArch, x: float, y: float) -> None:
        """Boxes for the experts in the places of the largest layer, numbers below."""
        widths, places = use.layer.expert_widths, room.expert_widths
        for slot in range(max(len(widths), len(places))):
            place = max(widths[slot : slot + 1] + places[slot : slot + 1]) * self._per_unit
            if slot < len(places) and widths[slot : slot + 1] != places[slot : slot + 1]:
                self._rect(x, y, places[slot] * self._per_unit, _BOX, "ghost")
            if slot < len(widths):
                share = None if use.shares is None else use.shares[slot]
                self._expert(x, y, place, widths[slot], share, dense=not use.has_experts)
            x += place + _GAP

    def _expert(self, x: float, y: float, place: float, width: int, share: float | None, *, dense: bool) -> None:
        drawn = width * self._per_unit
        known = "load not counted" if share is None else f"{percent(share)} of the tokens"
        self.parts.append(f"<g><title>{escape(f'hidden width {width}, {known}')}</title>")
        self._rect(x, y, drawn, _BOX, "box")
        if share:
            fill = max(1.0, share * _BOX)
            self._rect(x, y + _BOX - fill, drawn, fill, "fill")
        self._rect(x, y, drawn, _BOX, "unreached" if share == 0 else "frame")
        self.parts.append("</g>")
        if place >= 30 or dense:  # narrower, and the numbers would run into each other: the table has them
            self._text(x, y + _BOX + 13, str(width), "number")
            load = "every token" if dense else "" if share is None else percent(share)
            self._text(x, y + _BOX + 26, load, "load")

    def _rect(self, x: float, y: float, width: float, height: float, kind: str, rounded: float = 1.5) -> None:
        size = f'width="{width:.1f}" height="{height:.1f}" rx="{rounded:g}"'
        self.parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size}/>')

    def _text(self, x: float, y: float, words: str, kind: str, anchor: str = "start") -> None:
        self.parts.append(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )
