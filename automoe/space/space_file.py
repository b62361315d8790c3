"""Reads the YAML of search spaces. An architecture file is the same grammar with every choice made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from automoe.errors import SpaceError
from automoe.space.architecture import Architecture
from automoe.space.fields import MAX_SIZE, Field, Mistakes
from automoe.space.genes import Choices, DecoderLayerChoices, ExpertChoices, LayerChoices, SideChoices
from automoe.space.hat import architecture_of_hat, is_hat
from automoe.space.search_space import SearchSpace, find_clashes
from automoe.space.yaml_file import load_tree

MAX_LAYERS = 256
MAX_EXPERTS = 4096

_LAYER_KEYS = ("heads", "qkv_dim", "experts", "expert_width", "expert_widths", "top_k")
_CROSS_KEYS = ("cross_heads", "cross_qkv_dim", "cross_layers")
_LIMITS = {"top_k": MAX_EXPERTS, "cross_layers": MAX_LAYERS}
_ANY_EXPERTS = ExpertChoices(count=(MAX_EXPERTS,), width=(1,))


@dataclass(frozen=True, kw_only=True)
class SpaceFile:
    """What one file holds."""

    path: Path
    space: SearchSpace
    is_hat: bool
    """Whether it is in the form of HAT's and AutoMoE's sub-transformers, whose published numbers are of post-norm."""

    def architecture(self) -> Architecture:
        """The only architecture of the space.

        Raises:
            SpaceError: the file leaves something to choose.
        """
        if self.space.num_architectures > 1:
            raise SpaceError(
                f"is a search space of {self.space.num_architectures:,} architectures, not one architecture",
                file=self.path,
                hint="Replace every choice by one of its values",
            )
        return self.space.largest()


def read_space(path: str | Path) -> SearchSpace:
    """Reads a search space; an architecture (ours, JSON, HAT's or AutoMoE's) is a space with one point.

    Raises:
        SpaceError: the first mistake of the file, with its line.
        DependencyError: PyYAML is not installed (JSON does not need it).
    """
    return read_space_file(path).space


def read_space_file(path: str | Path) -> SpaceFile:
    """Reads a search space as `read_space` does, and the form that its file is in.

    Raises:
        SpaceError: as `read_space`.
        DependencyError: as `read_space`.
    """
    file, mistakes = parse_file(Path(path))
    mistakes.raise_first()
    if file is None:
        raise AssertionError("a file without mistakes must make a space")
    return file


def parse_file(path: Path) -> tuple[SpaceFile | None, Mistakes]:
    """What a file holds, or None, and all that is wrong with it.

    Raises:
        SpaceError: the file cannot be read or is not well-formed, so that nothing else can be said of it.
    """
    mistakes = Mistakes(path)
    root = Field(load_tree(path), mistakes)
    hat = is_hat(root)
    if hat:
        arch = architecture_of_hat(root)
        space = None if arch is None else space_of(arch, path.stem)
    else:
        space = _parse_space(root, mistakes, path.stem)
    return (None if space is None else SpaceFile(path=path, space=space, is_hat=hat)), mistakes


def space_of(arch: Architecture, name: str) -> SearchSpace:
    """The space whose only point is `arch`."""

    def side(dim: int, layers: tuple[LayerChoices, ...]) -> SideChoices:
        return SideChoices(dim=(dim,), depth=(len(layers),), layers=layers)

    return SearchSpace(
        name=name,
        encoder=side(
            arch.encoder.dim,
            tuple(
                LayerChoices(
                    heads=(layer.heads,),
                    qkv_dim=(layer.qkv_dim,),
                    experts=ExpertChoices.fixed(layer.expert_widths),
                    top_k=(layer.top_k,),
                )
                for layer in arch.encoder.layers
            ),
        ),
        decoder=side(
            arch.decoder.dim,
            tuple(
                DecoderLayerChoices(
                    heads=(layer.heads,),
                    qkv_dim=(layer.qkv_dim,),
                    experts=ExpertChoices.fixed(layer.expert_widths),
                    top_k=(layer.top_k,),
                    cross_heads=(layer.cross_heads,),
                    cross_qkv_dim=(layer.cross_qkv_dim,),
                    cross_layers=(layer.cross_layers,),
                )
                for layer in arch.decoder.layers
            ),
        ),
    )


def _parse_space(root: Field, mistakes: Mistakes, default_name: str) -> SearchSpace | None:
    entries = root.entries(("name", "encoder", "decoder", "constraints"), required=("encoder", "decoder"))
    name = entries["name"].word() if "name" in entries else default_name
    if "constraints" in entries:
        entries["constraints"].wrong(
            "constraints are not supported by this version",
            show_value=False,
            hint="Remove them, or narrow the choices so that every combination is wanted",
        )
    encoder = _parse_side(entries.get("encoder"), is_decoder=False)
    decoder = _parse_side(entries.get("decoder"), is_decoder=True)
    _note_clashes(entries, mistakes, encoder, decoder)
    if mistakes or name is None:
        return None
    return SearchSpace(name=name, encoder=encoder, decoder=decoder)


# What cannot be read is replaced by a value that goes with everything (a dimension of 0 can be divided by any number
# of heads), so that the rest of the file can still be judged. Such a space is never handed out.


def _parse_side(field: Field | None, is_decoder: bool) -> SideChoices:
    kind = DecoderLayerChoices if is_decoder else LayerChoices
    anything = kind(heads=(1,), experts=_ANY_EXPERTS)
    if field is None or not (entries := field.entries(("dim", "layers", "layer"), required=("dim", "layers"))):
        return SideChoices(dim=(0,), depth=(MAX_LAYERS,), layers=(anything,))
    dim = _choices(entries.get("dim"), anything=0)
    stacked = entries.get("layers")
    one = entries.get("layer")
    layer = anything if one is None else _parse_layer(one, is_decoder)
    if stacked is not None and stacked.is_list:
        if one is not None:
            one.wrong("stands beside a list of layers", show_value=False, hint="Keep one of the two")
        layers = tuple(_parse_layer(element, is_decoder) for element in stacked.elements())
        return SideChoices(dim=dim, depth=(len(layers) or MAX_LAYERS,), layers=layers)
    depth = _choices(stacked, MAX_LAYERS, anything=MAX_LAYERS)
    if stacked is not None and one is None:
        hint = f"Add {field.key}.layer, or list the layers"
        stacked.wrong("does not say what a layer is", show_value=False, hint=hint)
    return SideChoices(dim=dim, depth=depth, layers=(layer,) * depth[-1])


def _parse_layer(field: Field, is_decoder: bool) -> LayerChoices:
    keys = (*_LAYER_KEYS, *_CROSS_KEYS) if is_decoder else _LAYER_KEYS
    entries = field.entries(keys, required=("heads",))
    experts = _parse_experts(field, entries) if field.is_mapping else _ANY_EXPERTS
    heads = _choices(entries.get("heads"))
    optional = {
        key: _choices(entries[key], maximum=_LIMITS.get(key, MAX_SIZE), anything=0 if key.endswith("dim") else 1)
        for key in ("qkv_dim", "top_k", *_CROSS_KEYS)
        if key in entries
    }
    if not is_decoder:
        return LayerChoices(heads=heads, experts=experts, **optional)
    return DecoderLayerChoices(heads=heads, experts=experts, **optional)


def _parse_experts(layer: Field, entries: dict[str, Field]) -> ExpertChoices:
    if "expert_widths" in entries:
        for key in ("experts", "expert_width"):
            if key in entries:
                entries[key].wrong("stands beside expert_widths", show_value=False, hint="Keep one of the two")
        field = entries["expert_widths"]
        elements = [field] if field.is_scalar else field.elements()  # one number is a dense layer
        widths = [element.whole_number() or 1 for element in elements]
        return ExpertChoices.fixed(tuple(widths)) if widths else _ANY_EXPERTS
    if "expert_width" not in entries:
        hint = "Give expert_width (chosen), or expert_widths (one number for each expert)"
        layer.wrong("does not say how wide its experts are", show_value=False, hint=hint)
        return _ANY_EXPERTS
    count = _choices(entries["experts"], MAX_EXPERTS, anything=MAX_EXPERTS) if "experts" in entries else (1,)
    width = _choices(entries["expert_width"], per=True)
    per = entries["expert_width"].child("per")
    return ExpertChoices(count=count, width=width, per_expert=per is not None and per.tree.text == "expert")


def _choices(field: Field | None, maximum: int = MAX_SIZE, *, anything: int = 1, per: bool = False) -> Choices:
    """A fixed number, or `{choice: [...]}`, with `per: expert|layer` where that makes sense."""
    if field is None:
        return (anything,)
    if field.is_scalar:
        value = field.whole_number(maximum=maximum)
        return (anything if value is None else value,)
    if field.is_list:
        field.wrong("is a list", hint=f"To choose among them write {{choice: {field.tree.shown()}}}")
        return (anything,)
    entries = field.entries(("choice", "per") if per else ("choice",), required=("choice",))
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


def _note_clashes(entries: dict[str, Field], mistakes: Mistakes, encoder: SideChoices, decoder: SideChoices) -> None:
    for clash in find_clashes(encoder, decoder):
        field = _place(entries[clash.side], clash.layer, clash.gene)
        mistakes.add(clash.problem, line=field.line, key=field.key, value=clash.value, allowed=clash.allowed)


def _place(side: Field, layer: int | None, gene: str) -> Field:
    """The field of a gene; where it was left to its default, the mapping that lacks it."""
    field = side
    if layer is not None:
        layers = side.child("layers")
        field = layers.elements()[layer] if layers is not None and layers.is_list else side.child("layer") or side
    return field.child(gene) or field
