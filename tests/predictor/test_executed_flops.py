"""Expected executed FLOPs, learnt from made-up routers that favour some experts."""

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from automoe.cost import costs
from automoe.cost.executed import executed_expert_flops, executed_flops
from automoe.errors import AutoMoEError
from automoe.predictor import fit_report
from automoe.predictor.executed_flops import LEARNT, UNIFORM, ExecutedFlops, executed_values
from automoe.predictor.executed_report import (
    executed_form,
    executed_reports,
    executed_row,
    has_unequal_experts,
    learn_executed_flops,
)
from automoe.predictor.expert_shares import ExpertShares, kinds_of
from automoe.predictor.features import Encoder
from tests.architectures import DENSE
from tests.predictor.samples import HEADS, SPACE, architectures


def taste(kind):
    """How much the experts of a layer draw tokens: as its place and dimension have it, whatever their number."""
    rng = np.random.default_rng([kind.side == "encoder", kind.layer, kind.dim])
    return rng.normal(size=8)[: kind.num_experts]


def routed(count, noise=0.1, seed=0, space=SPACE):
    """Architectures with experts of unequal widths, and their loads under noisy routers."""
    rng = np.random.default_rng(seed + 1)
    found = {}
    for arch in [arch for arch in architectures(2 * count, seed, space) if has_unequal_experts(arch)][:count]:
        logits = {kind: taste(kind) + noise * rng.standard_normal(kind.num_experts) for kind in kinds_of(arch)}
        found[arch] = {
            (kind.side, kind.layer): (np.exp(logit) / np.exp(logit).sum()).tolist() for kind, logit in logits.items()
        }
    assert len(found) == count
    return found


@dataclass
class Row:
    arch: object
    expert_loads: object


def rows(loads):
    return [Row(a, {f"{s} {i}": shares for (s, i), shares in load.items()}) for a, load in loads.items()]


TRAIN, NEW = routed(100), routed(150, seed=5)


def fitted(**settings):
    predictor = ExecutedFlops(TRAIN, **settings)
    predictor.fit_loads()
    return predictor


def mape(predictor, loads, experts_only):
    return np.mean(
        np.abs(predictor.predict(list(loads)).mean_N / executed_values(loads, experts_only=experts_only) - 1)
    )


@pytest.mark.parametrize("experts_only", [True, False])
def test_learnt_shares_leave_less_than_a_quarter_of_the_error_at_uniform_load(experts_only):
    learnt, uniform = (fitted(kind=kind, experts_only=experts_only) for kind in (LEARNT, UNIFORM))
    assert mape(learnt, NEW, experts_only) < mape(uniform, NEW, experts_only) / 4


def test_at_uniform_load_it_predicts_the_analytic_flops():
    archs = [*NEW, DENSE]
    flops_N = [costs(arch, vocab_size=9, pre_norm=True).flops for arch in archs]
    rounded = 2 * max(len(list(arch.layers())) for arch in archs)  # the analytic value is rounded layer by layer
    np.testing.assert_allclose(fitted(kind=UNIFORM).predict(archs).mean_N, flops_N, rtol=0, atol=rounded)


def test_a_prediction_is_what_the_learnt_shares_execute():
    predictor = fitted()
    for arch, mean in zip(NEW, predictor.predict(list(NEW)).mean_N, strict=True):
        assert mean == pytest.approx(executed_flops(arch, predictor.shares.loads(arch)), abs=20)


def test_routers_that_never_change_are_known_exactly_from_every_kind_of_layer():
    loads = routed(300, noise=0.0)
    shares = ExpertShares.fit(list(loads), list(loads.values()))
    for arch, load in list(loads.items())[:50]:
        for kind in kinds_of(arch):
            np.testing.assert_allclose(shares[kind], load[kind.side, kind.layer], atol=0.06)
            assert sum(shares[kind]) == pytest.approx(1)


@pytest.mark.parametrize("experts_only", [True, False])
def test_intervals_hold_the_promised_share_of_new_architectures(experts_only):
    shares = []
    for seed in range(5):
        predictor = ExecutedFlops(routed(60, seed=10 * seed), experts_only=experts_only)
        predictor.fit_loads()
        loads = routed(100, seed=500 + seed)
        prediction, values_N = predictor.predict(list(loads)), executed_values(loads, experts_only=experts_only)
        shares.append(np.mean((prediction.lower_N <= values_N) & (values_N <= prediction.upper_N)))
    assert 0.84 < np.mean(shares) < 0.97


def test_where_no_router_matters_the_value_is_exact_and_the_interval_is_the_value():
    equal = [arch for arch in architectures(400, seed=9) if not has_unequal_experts(arch)]
    assert any(layer.num_experts > 1 for arch in equal for _, _, layer in arch.layers())
    prediction = fitted().predict([*equal, DENSE])
    for arch, mean in zip([*equal, DENSE], prediction.mean_N, strict=True):
        assert mean == pytest.approx(costs(arch, vocab_size=9, pre_norm=True).flops, abs=20)
    np.testing.assert_allclose(prediction.lower_N, prediction.upper_N, rtol=1e-12)


def test_equally_wide_experts_tell_shares_but_do_not_make_the_value_of_unequal_ones_certain():
    def loads_of(archs):
        return {
            arch: {(kind.side, kind.layer): shares[kind.num_experts] for kind in kinds_of(arch)} for arch in archs
        }

    shares = {2: [0.7, 0.3], 4: [0.4, 0.3, 0.2, 0.1]}
    predictor = ExecutedFlops(loads_of(arch for arch in architectures(400, seed=9) if not has_unequal_experts(arch)))
    predictor.fit_loads()
    prediction, values_N = predictor.predict(list(NEW)), executed_values(loads_of(NEW))
    assert not any(predictor.outside(list(NEW)))
    assert np.mean((prediction.lower_N <= values_N) & (values_N <= prediction.upper_N)) > 0.9


def test_the_report_of_latency_works_on_it_beside_the_uniform_baseline():
    reports = executed_reports(rows(TRAIN), folds=5)
    assert list(reports) == [LEARNT, UNIFORM]
    assert reports[LEARNT].mape < reports[UNIFORM].mape / 3
    assert reports[LEARNT].spearman > reports[UNIFORM].spearman
    assert 0.8 < reports[LEARNT].coverage <= 1
    assert reports[LEARNT].measured == [executed_expert_flops(arch, load) for arch, load in TRAIN.items()]


def test_fit_from_values_and_fit_from_loads_are_the_same():
    by_values = ExecutedFlops(TRAIN)
    by_values.fit(list(TRAIN), executed_values(TRAIN))
    assert by_values.to_dict() == fitted().to_dict()
    fit_report(lambda: ExecutedFlops(TRAIN), list(TRAIN)[:9], executed_values(TRAIN)[:9], folds=3, seed=1)


def test_a_table_makes_a_predictor_that_json_keeps_to_the_last_bit():
    predictor = learn_executed_flops(rows(TRAIN))
    form = json.loads(json.dumps(executed_form(predictor, executed_reports(rows(TRAIN)[:20], folds=3))))
    again = ExecutedFlops.from_dict(form["predictor"])
    for name in ("mean_N", "lower_N", "upper_N"):
        np.testing.assert_array_equal(
            getattr(predictor.predict(list(NEW)), name), getattr(again.predict(list(NEW)), name)
        )
    assert again.to_dict() == predictor.to_dict() and set(form["reports"]) == {LEARNT, UNIFORM}


def test_it_learns_and_predicts_without_torch_and_scikit_learn():
    code = (
        "import json, sys\n"
        "for name in ('torch', 'sklearn', 'scipy', 'pandas'): sys.modules[name] = None\n"
        "from automoe.predictor.executed_report import ExecutedFlops, learn_executed_flops\n"
        "from automoe.space import Architecture\n"
        "predictor, arch = json.load(sys.stdin)\n"
        "print(ExecutedFlops.from_dict(predictor).predict([Architecture.from_dict(arch)]).mean_N[0])\n"
    )
    arch = next(iter(NEW))
    form = json.dumps([fitted().to_dict(), arch.to_dict()])
    done = subprocess.run([sys.executable, "-c", code], input=form, capture_output=True, text=True, check=True)
    assert float(done.stdout) == fitted().predict([arch]).mean_N[0]


def test_rows_that_do_not_tell_their_loads_are_left_out():
    assert learn_executed_flops([*rows(TRAIN), Row(DENSE, None)]).to_dict() == fitted().to_dict()
    with pytest.raises(AutoMoEError, match=r"no architecture whose expert loads are known.*automoe profile"):
        learn_executed_flops([Row(DENSE, None)])


@pytest.mark.parametrize(
    "damage",
    [lambda form: {}, lambda form: {name: [0.5] for name in form}, lambda form: {"encoder": [1]}, lambda form: [1]],
)
def test_damaged_loads_of_a_table_are_named(damage):
    good = rows(TRAIN)
    bad = Row(good[0].arch, damage(good[0].expert_loads))
    with pytest.raises(
        AutoMoEError, match=f"expert_loads: the loads of architecture {bad.arch.digest} are not its own"
    ):
        learn_executed_flops([bad, *good[1:]])


def test_a_space_whose_routing_does_not_matter_has_no_report_and_an_exact_predictor():
    archs = architectures(9, space=HEADS)
    assert executed_reports([Row(arch, {}) for arch in archs]) == {}
    prediction = learn_executed_flops([Row(arch, {}) for arch in archs]).predict(archs)
    np.testing.assert_array_equal(prediction.lower_N, prediction.upper_N)


def test_a_row_of_costs_says_the_interval_and_what_was_never_seen():
    arch = next(arch for arch in NEW if len(arch.encoder.layers) == 2 and arch.encoder.layers[1].num_experts == 4)
    name, mean, note = executed_row(fitted(), arch)
    assert name == "FLOPs executed" and "90 % of architectures lie within" in note
    assert mean == round(fitted().predict([arch]).mean_N[0]) and "a guess" not in note
    shallow = {a: load for a, load in TRAIN.items() if len(a.encoder.layers) == 1}
    predictor = ExecutedFlops(shallow)
    predictor.fit_loads()
    assert (
        f"nothing was seen of encoder 1: 4 experts of dimension {arch.encoder.dim}"
        in executed_row(predictor, arch)[2]
    )
    assert executed_row(fitted(), DENSE)[2] == "expected, as trained routers load the experts"


def test_too_few_architectures_with_unequal_experts_promise_nothing_and_say_so():
    arch = next(iter(NEW))
    for count, promised in ((8, False), (9, True)):
        predictor = ExecutedFlops(routed(count))
        predictor.fit_loads()
        for each in (predictor, ExecutedFlops.from_dict(predictor.to_dict())):
            note = executed_row(each, arch)[2]
            assert ("90 % of architectures lie within" in note) == promised
            assert ("too few to promise 90 %" in note) != promised


def test_a_form_of_another_version_is_refused():
    for form in ({}, fitted().to_dict() | {"format": 0}):
        with pytest.raises(AutoMoEError, match=r"format.*no predictor of this version"):
            ExecutedFlops.from_dict(form)


def test_a_table_of_averages_cannot_tell_what_is_executed():
    with pytest.raises(AutoMoEError, match="need architectures"):
        fitted().predict(Encoder.for_architectures(list(NEW), ("averages",)).encode(list(NEW)))
