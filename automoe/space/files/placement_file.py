"""Reads and writes one placement as a file: YAML for people, JSON for programs."""

from __future__ import annotations

from pathlib import Path

from automoe.space.files.fields import Field, Mistakes
from automoe.space.files.side_fields import MAX_EXPERTS
from automoe.space.files.yaml_file import load_tree, write_form
from automoe.space.placement import Placement


def read_placement(path: str | Path) -> Placement:
    """Reads a placement: for each side a list of layers, for each layer a list of the experts in its slots.

    Whether it goes with an architecture and a supernet is said by `Placement.check`.

    Raises:
        SpaceError: the first mistake of the file, with its line.
        DependencyError: PyYAML is not installed (JSON does not need it).
    """
    path = Path(path)
    mistakes = Mistakes(path)
    entries = Field(load_tree(path), mistakes).entries(sides := ("encoder", "decoder"), required=sides)
    placement = {side: _layers(entries[side]) for side in sides if side in entries}
    mistakes.raise_first()
    return Placement(**placement)


def write_placement(placement: Placement, path: str | Path) -> None:
    """Writes a placement as YAML or JSON, by the suffix of `path`; `read_placement` reads it back.

    Raises:
        SpaceError: the suffix is neither `.yaml`, `.yml` nor `.json`.
    """
    write_form(path, json_form=placement.to_dict(), yaml_text=placement_yaml(placement))


def placement_yaml(placement: Placement) -> str:
    """The YAML form, one line a layer."""
    lines = []
    for side, chosen in placement.to_dict().items():
        lines += [f"{side}:", *(f"  - {slots}" for slots in chosen)]
    return "\n".join(lines) + "\n"


def _layers(side: Field) -> tuple[tuple[int, ...], ...]:
    return tuple(_slots(layer) for layer in side.elements())


def _slots(layer: Field) -> tuple[int, ...]:
    chosen: list[int] = []
    for slot in layer.elements():
        expert = slot.whole_number(minimum=0, maximum=MAX_EXPERTS - 1)
        if expert in chosen:
            slot.wrong("fills two slots of the layer")
        elif expert is not None:
            chosen.append(expert)
    return tuple(chosen)
