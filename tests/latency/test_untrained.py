import numpy as np
import pytest

from automoe.decoding import SearchConfig, search
from automoe.errors import ConfigError
from automoe.latency.beam_watch import BeamWatch
from automoe.latency.sentences import random_panel
from automoe.latency.untrained import open_untrained, untrained
from tests.architectures import DENSE, MAXIMUM

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

VOCAB = 120
CONFIG = SearchConfig(beam=3, max_ratio=0, max_extra=9, min_length=9)


def translate(stepper, seed=1):
    sources = [np.array(source) for source in random_panel([8, 11], VOCAB, seed).sources]
    return [best[0].tokens.tolist() for source in sources for best in search(stepper, [source], CONFIG)]


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("arch", [MAXIMUM, DENSE], ids=["experts", "dense"])
def test_both_backends_open_the_same_model(arch, pre_norm):
    onnx, torch = (
        open_untrained(arch, vocab_size=VOCAB, pre_norm=pre_norm, backend=name) for name in ("onnx", "torch")
    )
    assert translate(onnx) == translate(torch)


def test_the_seed_decides_the_weights():
    first, same, other = (open_untrained(DENSE, vocab_size=VOCAB, pre_norm=True, seed=seed) for seed in (3, 3, 4))
    assert translate(first) == translate(same) != translate(other)


def test_hypotheses_differ_in_every_precision():
    for precision in ("float32", "int8"):
        watch = BeamWatch(open_untrained(MAXIMUM, vocab_size=VOCAB, pre_norm=True, precision=precision))
        translate(watch)
        assert watch.distinct_beams == 1


def test_experts_get_about_equal_loads():
    import torch

    model = untrained(MAXIMUM, vocab_size=VOCAB, pre_norm=False)
    panel = random_panel([12] * 60, VOCAB, seed=7)
    source_BS = torch.tensor(panel.sources)
    routings = model(source_BS, source_BS.roll(1, dims=1)).routings
    assert len(routings) == 4
    for routing in routings.values():
        load_E = routing.loads_E()
        assert load_E.max() < 2 * load_E.float().mean()


@pytest.mark.parametrize(
    ("wanted", "key", "says"),
    [
        ({"backend": "onnx", "precision": "bfloat16"}, "precision", "float32, int8"),
        ({"backend": "torch", "precision": "int8"}, "precision", "float32"),
        ({"backend": "onnx", "device": "cuda"}, "device", "cpu"),
        ({"backend": "torch", "device": "cuda:99"}, "device", "cpu"),
        ({"backend": "onxx"}, "backend", "onnx"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_is(wanted, key, says):
    with pytest.raises(ConfigError) as caught:
        open_untrained(DENSE, vocab_size=VOCAB, pre_norm=True, **wanted)
    assert caught.value.key == key
    assert says in caught.value.allowed
