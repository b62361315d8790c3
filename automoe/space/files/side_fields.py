"""Reads `encoder:` and `decoder:` of a space file into `SideChoices`."""

from __future__ import annotations

from automoe.space.files.fields import MAX_SIZE, Field
from automoe.space.files.share_fields import refuse_shares, shares_of
from automoe.space.genes import Choices, DecoderLayerChoices, ExpertChoices, LayerChoices, SideChoices

MAX_LAYERS = 256
MAX_EXPERTS = 4096

SIDE_KEYS = ("dim", "layers", "layer")
LAYER_KEYS = ("heads", "qkv_dim", "experts", "expert_width", "expert_widths", "top_k")
CROSS_KEYS = ("cross_heads", "cross_qkv_dim", "cross_layers")
_LIMITS = {"top_k": MAX_EXPERTS, "cross_layers": MAX_LAYERS}
_ANY_EXPERTS = ExpertChoices(count=(MAX_EXPERTS,), width=(1,))

# What cannot be read is replaced by a value that goes with everything (a dimension of 0 can be divided by any number
# of heads), so that the rest of the file can still be judged. Such a space is never handed out.


def parse_side(field: Field | None, is_decoder: bool) -> SideChoices:
    """The choices of a side; what is wrong is noted. Of a value that is not there anything is assumed."""
    kind = DecoderLayerChoices if is_decoder else LayerChoices
    anything = kind(heads=(1,), experts=_ANY_EXPERTS)
    if field is None or not (entries := field.entries(SIDE_KEYS, required=("dim", "layers"))):
        return SideChoices(dim=(0,), depth=(MAX_LAYERS,), layers=(anything,))
    dim = _choices(entries.get("dim"), anything=0)
    stacked = entries.get("layers")
    one = entries.get("layer")
    if stacked is not None and stacked.is_list:
        if one is not None:
            _note_rivals(one, stacked, "a list of layers")
        layers = tuple(_parse_listed_layer(element, is_decoder) for element in stacked.elements())
        return SideChoices(dim=dim, depth=(len(layers) or MAX_LAYERS,), layers=layers)
    depth = _choices(stacked, MAX_LAYERS, anything=MAX_LAYERS)
    if stacked is not None and one is None:
        hint = f"Add {field.key}.layer, or list the layers"
        stacked.wrong("does not say what a layer is", show_value=False, hint=hint)
    if one is None:
        return SideChoices(dim=dim, depth=depth, layers=(anything,) * depth[-1])
    entries = _layer_entries(one, is_decoder)
    layer = _parse_layer(one, entries, is_decoder)
    return SideChoices(dim=dim, depth=depth, layers=(layer,) * depth[-1], shared=shares_of(entries, depth[-1]))


def _layer_entries(field: Field, is_decoder: bool) -> dict[str, Field]:
    return field.entries((*LAYER_KEYS, *CROSS_KEYS) if is_decoder else LAYER_KEYS, required=("heads",))


def _parse_listed_layer(field: Field, is_decoder: bool) -> LayerChoices:
    entries = _layer_entries(field, is_decoder)
    refuse_shares(entries)
    return _parse_layer(field, entries, is_decoder)


def _parse_layer(field: Field, entries: dict[str, Field], is_decoder: bool) -> LayerChoices:
    experts = _parse_experts(field, entries) if field.is_mapping else _ANY_EXPERTS
    heads = _layer_choices(entries.get("heads"))
    optional = {
        key: _layer_choices(entries[key], _LIMITS.get(key, MAX_SIZE), anything=0 if key.endswith("dim") else 1)
        for key in ("qkv_dim", "top_k", *CROSS_KEYS)
        if key in entries
    }
    if not is_decoder:
        return LayerChoices(heads=heads, experts=experts, **optional)
    return DecoderLayerChoices(heads=heads, experts=experts, **optional)


def _parse_experts(layer: Field, entries: dict[str, Field]) -> ExpertChoices:
    if "expert_widths" in entries:
        for key in ("experts", "expert_width"):
            if key in entries:
                _note_rivals(entries[key], entries["expert_widths"], "expert_widths")
        field = entries["expert_widths"]
        elements = [field] if field.is_scalar else field.elements()  # one number is a dense layer
        widths = [element.whole_number() or 1 for element in elements]
        return ExpertChoices.fixed(tuple(widths)) if widths else _ANY_EXPERTS
    if "expert_width" not in entries:
        hint = "Give expert_width (chosen), or expert_widths (one number for each expert)"
        layer.wrong("does not say how wide its experts are", show_value=False, hint=hint)
        return _ANY_EXPERTS
    count = _layer_choices(entries["experts"], MAX_EXPERTS, anything=MAX_EXPERTS) if "experts" in entries else (1,)
    width = _choices(entries["expert_width"], also=("share", "per"))
    per = entries["expert_width"].child("per")
    return ExpertChoices(count=count, width=width, per_expert=per is not None and per.tree.text == "expert")


def _note_rivals(field: Field, other: Field, other_name: str) -> None:
    """Notes that `field` and `other` cannot both be given; where one is inherited, at the one that is not."""
    if field.is_inherited == other.is_inherited:
        field.wrong(f"stands beside {other_name}", show_value=False, hint="Keep one of the two")
        return
    own, inherited = (other, field) if field.is_inherited else (field, other)
    name = str(inherited.key).rpartition(".")[2]
    hint = f"To remove what is extended write {name}: null"
    own.wrong(f"stands beside {name}, which stands {inherited.place}", show_value=False, hint=hint)


def _layer_choices(field: Field | None, maximum: int = MAX_SIZE, *, anything: int = 1) -> Choices:
    """The choices of a key of a layer, which layers may share."""
    return _choices(field, maximum, anything=anything, also=("share",))


def _choices(
    field: Field | None, maximum: int = MAX_SIZE, *, anything: int = 1, also: tuple[str, ...] = ()
) -> Choices:
    """A fixed number, or `{choice: [...]}`, which may have the keys `also` (`share` is read by `shares_of`)."""
    if field is None:
        return (anything,)
    if field.is_scalar:
        value = field.whole_number(maximum=maximum)
        return (anything if value is None else value,)
    if field.is_list:
        field.wrong("is a list", hint=f"To choose among them write {{choice: {field.tree.shown()}}}")
        return (anything,)
    entries = field.entries(("choice", *also), required=("choice",))
    if "per" in entries and entries["per"].tree.text not in ("expert", "layer"):
        entries["per"].wrong("is not what widths can be chosen for", allowed="expert, layer")
    values: set[int] = set()
    for element in entries["choice"].elements() if "choice" in entries else ():
        value = element.whole_number(maximum=maximum)
        if value in values:
            element.wrong("is listed twice")
        elif value is not None:
            values.add(value)
    return tuple(sorted(values)) or (anything,)


def place_of(side: Field, layer: int | None, gene: str) -> Field:
    """The field of a gene; where it was left to its default, its place in the mapping that lacks it."""
    field = side
    if layer is not None:
        layers = side.child("layers")
        field = layers.elements()[layer] if layers is not None and layers.is_list else side.child("layer") or side
    return field.child(gene) or field.default(gene)
