"""The drawing of the layers: sizes to scale, loads as filled heights, nothing outside."""

import re

import numpy as np
import pytest

from automoe.report import ChosenModel
from automoe.report.architecture_figure import draw_architecture
from tests.architectures import MAXIMUM, random_slice
from tests.report.reports import LARGEST, LOADS, SPARSE, chosen


def rects(svg, kind):
    found = re.findall(rf'<rect class="{kind}" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    return [tuple(map(float, numbers)) for numbers in found]


def test_widths_are_to_one_scale_over_both_sides():
    boxes = rects(draw_architecture(chosen(), width=720), "box")
    widths = [width for _, _, layer in SPARSE.layers() for width in layer.expert_widths]
    scales = [box[2] / width for box, width in zip(boxes, widths, strict=True)]
    assert max(scales) / min(scales) < 1.01


def test_boxes_are_filled_as_high_as_the_share_of_tokens():
    svg = draw_architecture(chosen(), width=720)
    box, *_ = rects(svg, "box")
    fill, *_ = rects(svg, "fill")
    counts = LOADS["encoder 0"]
    assert fill[3] / box[3] == pytest.approx(counts[0] / sum(counts), abs=0.005)
    assert fill[1] + fill[3] == pytest.approx(box[1] + box[3], abs=0.11)


def test_an_expert_without_tokens_is_marked_and_not_filled():
    svg = draw_architecture(chosen(), width=360)
    assert len(rects(svg, "unreached")) == 1 and len(rects(svg, "fill")) == len(rects(svg, "box")) - 1


def test_layers_that_are_left_out_are_named_and_cross_attention_is_wired_where_there_is_room():
    wide, narrow = (draw_architecture(chosen(), width=width) for width in (720, 360))
    for svg in (wide, narrow):
        assert "encoder 3: left out" in svg and "decoder 2: left out" in svg and "to encoder 1 and 2" in svg
    assert (wide.count('class="wire"'), narrow.count('class="wire"')) == (3, 0)


def test_the_largest_itself_has_nothing_dashed():
    assert rects(draw_architecture(chosen(LARGEST, {}), width=720), "ghost") == []


@pytest.mark.parametrize("width", [360, 720])
@pytest.mark.parametrize("seed", range(20))
def test_everything_lies_inside_the_drawing_and_each_box_inside_a_card(seed, width):
    arch, _ = random_slice(MAXIMUM, np.random.default_rng([3, seed]))
    model = ChosenModel(architecture=arch, largest=MAXIMUM, expert_loads={}, digest=arch.digest)
    svg = draw_architecture(model, width=width)
    height = float(re.search(r'viewBox="0 0 \d+ ([\d.]+)"', svg)[1])
    cards = rects(svg, "card")
    assert len(cards) == len(list(arch.layers()))
    assert all(y + h <= height and x + w <= width for kind in ("card", "ghost") for x, y, w, h in rects(svg, kind))
    for x, y, w, h in rects(svg, "box") + rects(svg, "head-box"):
        assert any(x >= X and x + w <= X + W and y >= Y and y + h <= Y + H for X, Y, W, H in cards)
