import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.latency import Panel, ProfileConfig, Profiler
from automoe.latency import profiler as module
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from tests.architectures import DENSE, MAXIMUM, random_slice
from tests.decoding.hash_model import HashModel, HashStepper
from tests.latency.machine import PANEL, Machine


def test_latency_is_milliseconds_per_sentence_over_the_forced_steps():
    machine = Machine()
    row = machine.profiler().measure(MAXIMUM)
    assert row.steps == PANEL.steps == 10
    assert (row.latency_ms, row.raw_ms) == pytest.approx((machine.latency_ms(MAXIMUM),) * 2)
    assert row.reference_ms == pytest.approx(machine.latency_ms(DENSE))
    assert row.arch == MAXIMUM and row.distinct_beams == 1.0


def test_encoder_and_decoder_add_up_and_the_encoder_is_what_start_takes():
    machine = Machine()
    row = machine.profiler().measure(MAXIMUM)
    assert row.encoder_ms == pytest.approx(1000 * machine.encoder_cost(MAXIMUM))
    assert row.encoder_ms + row.decoder_ms == pytest.approx(row.latency_ms)


def test_a_quiet_machine_stops_at_the_least_passes_and_a_noisy_one_at_the_most():
    quiet = Machine().profiler(repeats=6, max_repeats=20).measure(MAXIMUM)
    assert (quiet.repeats, quiet.spread) == (6, pytest.approx(0))
    rng = np.random.default_rng(0)
    noisy = Machine(noise=lambda: rng.uniform(0.2, 3)).profiler(max_repeats=20).measure(MAXIMUM)
    assert noisy.repeats == 20 and noisy.spread > 0.01


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.4), st.sampled_from([0.003, 0.01, 0.05]))
@settings(max_examples=20, deadline=None)
def test_passes_end_as_soon_as_the_median_is_known_to_the_tolerance(seed, noise, tolerance):
    rng = np.random.default_rng(seed)
    machine = Machine(noise=lambda: np.exp(noise * rng.standard_normal()))
    row = machine.profiler(repeats=2, max_repeats=12, tolerance=tolerance).measure(MAXIMUM)
    assert 5 <= row.repeats <= 12, "fewer cannot tell"
    assert (row.spread <= tolerance) or row.repeats == 12


def test_fewer_passes_than_can_tell_have_no_spread():
    row = Machine().profiler(repeats=1, max_repeats=4).measure(MAXIMUM)
    assert (row.repeats, row.spread) == (4, None)


BATCHED = Panel(sources=((5, 6, 2), (7, 8, 9, 2), (5, 2), (9, 9, 9, 9, 2)), lengths=(3, 5, 4, 2))


@pytest.mark.parametrize("beam", [1, 3])
def test_a_batch_has_sentences_of_like_length_shares_its_steps_and_is_timed_per_sentence(beam):
    machine = Machine()
    row = machine.profiler(panel=BATCHED, batch=2, beam=beam).measure(MAXIMUM)
    assert row.steps == (4 + 1) + (5 + 1), "by source length: the third and the first, the second and the fourth"
    seconds = 2 * machine.encoder_cost(MAXIMUM) + 11 * machine.cost(MAXIMUM)
    assert row.latency_ms == pytest.approx(1000 * seconds / 4)
    assert row.distinct_beams == 1.0


@pytest.mark.parametrize("end_bias", [-20.0, 20.0], ids=["never ends", "ends at once"])
@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_every_translation_that_is_timed_has_exactly_the_length_of_the_panel(monkeypatch, batch, beam, end_bias):
    found = []

    def watched(stepper, sources, config):
        nbest = search(stepper, sources, config)
        for source, hypotheses in zip(sources, nbest, strict=True):
            found.append((tuple(source.tolist()), {len(hypothesis.tokens) - 1 for hypothesis in hypotheses}))
        return nbest

    search = module.search
    monkeypatch.setattr(module, "search", watched)
    model = HashModel(20, end_bias=end_bias)
    config = ProfileConfig(sentences=4, batch=batch, repeats=2, max_repeats=2)
    times = iter(range(10**6))
    Profiler(
        lambda arch: HashStepper(model), BATCHED, DENSE, config, beam=beam, clock=lambda: float(next(times))
    ).measure(MAXIMUM)
    wanted = {source: {length} for source, length in zip(BATCHED.sources, BATCHED.lengths, strict=True)}
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
    assert after.encoder_ms == pytest.approx(before.encoder_ms)
    assert (before.drift, after.drift) == (1, pytest.approx(second / first))
    assert after.drifted == (abs(second / first - 1) > 0.1)
    assert profiler.baseline_ms == before.reference_ms


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 5.0), st.integers(0, 500), st.integers(1, 100))
def test_a_machine_that_is_slower_for_a_while_measures_the_same_latency(slowness, begin, duration):
    quiet, machine = Machine(), Machine()
    steps = 0

    def at_work(seconds, arch):
        nonlocal steps
        steps += 1
        machine.slowness = slowness if begin <= steps < begin + duration else 1.0
        Machine.spend(machine, seconds, arch)

    machine.spend = at_work
    profiler = machine.profiler(quiet.latency_ms(DENSE), repeats=15)
    assert profiler.measure(MAXIMUM).latency_ms == pytest.approx(quiet.latency_ms(MAXIMUM))


def test_a_machine_that_changes_its_speed_all_the_time_measures_the_same_latency():
    machine, rng = Machine(), np.random.default_rng(0)
    quiet = machine.profiler().measure(MAXIMUM)
    profiler = machine.profiler(quiet.reference_ms)
    translate = profiler._translate

    def translate_at_another_speed(stepper, batch):
        if stepper is profiler._reference:
            machine.slowness = rng.uniform(0.2, 5.0)
        translate(stepper, batch)

    profiler._translate = translate_at_another_speed
    restless = profiler.measure(MAXIMUM)
    assert restless.raw_ms != pytest.approx(quiet.raw_ms, rel=0.05)
    assert restless.latency_ms == pytest.approx(quiet.latency_ms)


def test_a_table_that_is_continued_keeps_its_baseline():
    row = Machine().profiler().measure(MAXIMUM)
    later = Machine(slowness=3.0).profiler(baseline_ms=row.reference_ms).measure(MAXIMUM)
    assert later.latency_ms == pytest.approx(row.latency_ms)


def test_a_disturbed_pass_widens_the_range_and_leaves_the_latency():
    quiet = Machine().profiler(repeats=9).measure(MAXIMUM)
    calls = 0

    def disturbed_once():
        nonlocal calls
        calls += 1
        return 4 if 13 <= calls <= 24 else 1  # a pass encodes twice and takes 10 steps; the one before warms up

    disturbed = Machine(noise=disturbed_once).profiler(repeats=9).measure(MAXIMUM)
    assert disturbed.latency_ms == pytest.approx(quiet.latency_ms)
    assert disturbed.low_ms == pytest.approx(quiet.low_ms)
    assert disturbed.high_ms == pytest.approx(4 * quiet.high_ms)
    assert disturbed.repeats == 9 and disturbed.spread == pytest.approx(0)


def test_a_slow_first_pass_is_not_counted():
    machine, calls = Machine(), {DENSE: 0, MAXIMUM: 0}

    def slow_at_first(seconds, arch):
        calls[arch] += 1
        Machine.spend(machine, seconds * (100 if calls[arch] <= 12 else 1), arch)

    machine.spend = slow_at_first
    row = machine.profiler().measure(MAXIMUM)
    assert row.high_ms == pytest.approx(machine.latency_ms(MAXIMUM))
    assert row.reference_ms == pytest.approx(machine.latency_ms(DENSE))


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
        lambda arch: TorchStepper(transformer, arch), PANEL, DENSE_SLICE, ProfileConfig(max_repeats=5), beam=beam
    )
    arch, _ = random_slice(MAXIMUM, np.random.default_rng(1))
    loads = {"encoder.0": [1.0]}
    row = profiler.measure(arch, loads)
    assert 0 < row.low_ms <= row.latency_ms <= row.high_ms
    assert 0 < row.encoder_ms < row.latency_ms and row.spread > 0
    assert row.steps == PANEL.steps and row.distinct_beams == 1.0
    assert row.arch == arch and row.expert_loads == loads


DENSE_SLICE, _ = random_slice(MAXIMUM, np.random.default_rng(0))


def test_beams_that_are_alike_are_told_once_for_models_with_experts(capsys, monkeypatch):
    monkeypatch.setattr(module.BeamWatch, "distinct_beams", 0.2)
    profiler = Machine().profiler()
    profiler.measure(DENSE)
    assert capsys.readouterr().err == ""
    assert profiler.measure(MAXIMUM).distinct_beams == 0.2
    profiler.measure(MAXIMUM)
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.startswith(f"{MAXIMUM.digest}: the hypotheses of a sentence differ in 20 % of the decoding steps")
    Machine().profiler(beam=1).measure(MAXIMUM)
    monkeypatch.setattr(module.BeamWatch, "distinct_beams", 0.5)
    Machine().profiler().measure(MAXIMUM)
    assert capsys.readouterr().err == ""
