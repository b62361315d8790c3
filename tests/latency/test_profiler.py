import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.errors import ConfigError
from automoe.latency import ProfileConfig, Profiler
from automoe.latency import profiler as module
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from tests.architectures import DENSE, MAXIMUM, random_slice
from tests.decoding.hash_model import HashModel, HashStepper
from tests.latency.machine import PANEL, Machine


def test_latency_is_milliseconds_per_sentence_over_the_forced_steps():
    machine = Machine()
    row = machine.profiler().measure(MAXIMUM)
    assert row.steps == PANEL.steps == 10
    assert row.latency_ms == row.raw_ms == pytest.approx(1000 * machine.cost(MAXIMUM) * 10 / 2)
    assert row.reference_ms == pytest.approx(1000 * machine.cost(DENSE) * 10 / 2)
    assert row.arch == MAXIMUM and row.distinct_beams == 1.0


@pytest.mark.parametrize("end_bias", [-20.0, 20.0], ids=["never ends", "ends at once"])
@pytest.mark.parametrize("beam", [1, 3])
def test_every_translation_that_is_timed_has_exactly_the_length_of_the_panel(monkeypatch, beam, end_bias):
    found = []

    def watched(stepper, sources, config):
        hypotheses = search(stepper, sources, config)[0]
        found.append((tuple(sources[0].tolist()), {len(hypothesis.tokens) - 1 for hypothesis in hypotheses}))
        return [hypotheses]

    search = module.search
    monkeypatch.setattr(module, "search", watched)
    model = HashModel(20, end_bias=end_bias)
    profiler = Profiler(lambda arch: HashStepper(model), PANEL, DENSE, ProfileConfig(repeats=2), beam=beam)
    profiler.measure(MAXIMUM)
    wanted = {source: {length} for source, length in zip(PANEL.sources, PANEL.lengths, strict=True)}
    assert {source for source, _ in found} == wanted.keys()
    assert all(lengths == wanted[source] for source, lengths in found)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 5.0), st.floats(0.2, 5.0))
def test_a_machine_that_changes_its_speed_measures_the_same_latency(first, second):
    machine = Machine(first)
    profiler = machine.profiler()
    before = profiler.measure(MAXIMUM)
    machine.slowness = second
    after = profiler.measure(MAXIMUM)
    assert after.latency_ms == pytest.approx(before.latency_ms)
    assert (after.low_ms, after.high_ms) == pytest.approx((before.low_ms, before.high_ms))
    assert after.raw_ms == pytest.approx(before.raw_ms * second / first)
    assert profiler.baseline_ms == before.reference_ms


def test_a_machine_that_changes_its_speed_all_the_time_measures_the_same_latency():
    machine, rng = Machine(), np.random.default_rng(0)
    quiet = machine.profiler().measure(MAXIMUM)
    profiler = machine.profiler(quiet.reference_ms)
    translate = profiler._translate

    def translate_at_another_speed(stepper, index):
        if stepper is profiler._reference:
            machine.slowness = rng.uniform(0.2, 5.0)
        translate(stepper, index)

    profiler._translate = translate_at_another_speed
    restless = profiler.measure(MAXIMUM)
    assert restless.raw_ms != pytest.approx(quiet.raw_ms, rel=0.05)
    assert restless.latency_ms == pytest.approx(quiet.latency_ms)


def test_a_table_that_is_continued_keeps_its_baseline():
    row = Machine().profiler().measure(MAXIMUM)
    later = Machine(slowness=3.0).profiler(baseline_ms=row.reference_ms).measure(MAXIMUM)
    assert later.latency_ms == pytest.approx(row.latency_ms)


def test_a_disturbed_pass_widens_the_spread_and_leaves_the_latency():
    machine = Machine()
    quiet = machine.profiler(repeats=5).measure(MAXIMUM)
    steps = 0

    def cost(arch):
        nonlocal steps
        steps += arch == MAXIMUM
        return Machine.cost(machine, arch) * (4 if 11 <= steps <= 20 and arch == MAXIMUM else 1)

    machine.cost = cost  # the first timed pass: the one before warms up
    disturbed = machine.profiler(repeats=5).measure(MAXIMUM)
    assert disturbed.latency_ms == pytest.approx(quiet.latency_ms)
    assert disturbed.low_ms == pytest.approx(quiet.low_ms)
    assert disturbed.high_ms == pytest.approx(4 * quiet.high_ms)


def test_a_slow_first_pass_is_not_counted():
    machine = Machine()
    slow = {DENSE.digest, MAXIMUM.digest}

    def cost(arch):
        steps[arch.digest] = steps.get(arch.digest, 0) + 1
        return Machine.cost(machine, arch) * (100 if arch.digest in slow and steps[arch.digest] <= 10 else 1)

    steps = {}
    machine.cost = cost
    row = machine.profiler().measure(MAXIMUM)
    assert row.high_ms == pytest.approx(1000 * Machine.cost(machine, MAXIMUM) * 5)
    assert row.reference_ms == pytest.approx(1000 * Machine.cost(machine, DENSE) * 5)


def test_the_model_of_the_reference_is_opened_once():
    machine = Machine()
    profiler = machine.profiler()
    profiler.measure(MAXIMUM)
    profiler.measure(DENSE)
    assert machine.opened == [DENSE, MAXIMUM, DENSE]


@pytest.mark.parametrize("beam", [1, 5])
def test_real_transformers_are_measured_with_beams_that_differ(beam):
    torch.manual_seed(0)
    transformer = Transformer(MAXIMUM, TransformerConfig(vocab_size=40))
    profiler = Profiler(
        lambda arch: TorchStepper(transformer, arch), PANEL, DENSE_SLICE, ProfileConfig(repeats=2), beam=beam
    )
    arch, _ = random_slice(MAXIMUM, np.random.default_rng(1))
    loads = {"encoder.0": [1.0]}
    row = profiler.measure(arch, loads)
    assert 0 < row.low_ms <= row.latency_ms <= row.high_ms
    assert row.steps == PANEL.steps and row.distinct_beams == 1.0
    assert row.arch == arch and row.expert_loads == loads


DENSE_SLICE, _ = random_slice(MAXIMUM, np.random.default_rng(0))


@pytest.mark.parametrize("key, value", [("architectures", 1), ("sentences", 0), ("repeats", 0), ("threads", 0)])
def test_a_setting_out_of_range_is_refused_by_its_key(key, value):
    with pytest.raises(ConfigError, match=rf"profile\.{key}={value}"):
        ProfileConfig(**{key: value})


def test_the_device_is_named_by_its_threads():
    assert ProfileConfig().device == "cpu-1t"
    assert ProfileConfig(threads=2).device == "cpu-2t"
