"""Small search spaces for tests."""

from __future__ import annotations

from automoe.space import DecoderLayerChoices, ExpertChoices, LayerChoices, SearchSpace, SideChoices


def small_space(experts: tuple[int, ...] = (1, 2, 3)) -> SearchSpace:
    """Everything varies: dimensions, depths, heads, experts, widths, attended layers."""
    choices = {"heads": (1, 2), "experts": ExpertChoices(count=experts, width=(8, 16), per_expert=True)}
    return SearchSpace(
        name="small's",  # a quote, which command lines and configuration files may stumble over
        encoder=SideChoices(dim=(8, 16), depth=(1, 2), layers=(LayerChoices(**choices),) * 2),
        decoder=SideChoices(
            dim=(8, 12), depth=(1, 2), layers=(DecoderLayerChoices(**choices, cross_layers=(1, 2)),) * 2
        ),
    )


def one_point_space() -> SearchSpace:
    """A space of one architecture, with experts on both sides."""
    choices = {"heads": (2,), "experts": ExpertChoices.fixed((16, 8))}
    return SearchSpace(
        name="one point",
        encoder=SideChoices(dim=(16,), depth=(2,), layers=(LayerChoices(**choices),) * 2),
        decoder=SideChoices(dim=(12,), depth=(1,), layers=(DecoderLayerChoices(**choices),)),
    )
