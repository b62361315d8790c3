"""Which part of an architecture is larger than what shall lend it weights."""

from dataclasses import replace

import numpy as np
import pytest

from automoe.errors import SpaceError
from automoe.space import Placement, slice_error
from tests.architectures import DENSE, MAXIMUM, random_slice


def with_layer(arch, side, index, **sizes):
    part = getattr(arch, side)
    layers = tuple(replace(layer, **sizes) if at == index else layer for at, layer in enumerate(part.layers))
    return replace(arch, **{side: replace(part, layers=layers)})


@pytest.mark.parametrize(("arch", "message"), [
    (replace(MAXIMUM, encoder=replace(MAXIMUM.encoder, dim=34)), "encoder.dim=34: .* wider .allowed: up to 32"),
    (
        replace(MAXIMUM, decoder=replace(MAXIMUM.decoder, layers=MAXIMUM.decoder.layers[:2] * 2)),
        "decoder.layers=4: .* deeper .allowed: up to 3",
    ),
    (
        with_layer(MAXIMUM, "decoder", 1, expert_widths=(16, 16, 8)),
        r"decoder.layers\[1\].expert_widths=\[16, 16, 8\]: .* 3 experts of a layer that has 1 .*up to 1 expert",
    ),
    (
        with_layer(MAXIMUM, "encoder", 1, expert_widths=(48, 40)),
        r"encoder.layers\[1\].expert_widths=\[48, 40\]: .* wider experts .*up to 4 expert.*\[48, 32, 32, 16\]",
    ),
    (with_layer(MAXIMUM, "encoder", 2, qkv_dim=20), r"encoder.layers\[2\].qkv_dim=20: .* attention .*up to 16"),
    (with_layer(MAXIMUM, "decoder", 0, cross_qkv_dim=32), r"decoder.layers\[0\].cross_qkv_dim=32: .*up to 16"),
])  # fmt: skip
def test_what_is_larger_is_named_with_what_there_is(arch, message):
    error = slice_error(arch, MAXIMUM)
    assert isinstance(error, SpaceError) and not arch.fits(MAXIMUM)
    with pytest.raises(SpaceError, match=f"^{message}.*Take a smaller architecture, or train a supernet"):
        raise error
    with pytest.raises(SpaceError, match="no slice of this model's largest"):
        Placement.sample(arch, MAXIMUM, np.random.default_rng(0))


def test_an_error_is_made_exactly_for_what_does_not_fit():
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(300):
        arch, other = random_slice(MAXIMUM, rng)[0], random_slice(MAXIMUM, rng)[0]
        for large in (MAXIMUM, DENSE, other):
            fits = arch.fits(large)
            found.add(fits)
            assert (slice_error(arch, large) is None) == fits
    assert found == {True, False}
