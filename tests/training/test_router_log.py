"""What a step logs of its routers, and the reports that its sums become."""

from collections import Counter

import pytest
import torch

from automoe.decoding import PAD
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.expert_loads import expert_loads
from automoe.nn.router_report import router_report
from automoe.training.router_log import is_router_count, router_counts, router_reports
from tests.architectures import MAXIMUM


def model_of(**config):
    torch.manual_seed(0)
    return Transformer(MAXIMUM, TransformerConfig(vocab_size=30, **config))


def batch(rows=6):
    source, target = torch.randint(4, 30, (rows, 7)), torch.randint(4, 30, (rows, 5))
    source[0, 5:] = PAD
    return source, target


def test_counts_are_scalars_under_names_that_every_batch_has():
    model = model_of(capacity_factor=1.0)
    first, second = (router_counts(model(*batch(rows)).routings) for rows in (1, 6))
    assert list(first) == list(second)
    assert all(is_router_count(name) and count.dim() == 0 for name, count in first.items())


def test_sums_of_batches_have_the_report_of_all_tokens_together():
    model, batches = model_of().eval(), [batch(3), batch(6)]
    sums: Counter = Counter()
    for source, target in batches:
        sums.update({name: float(count) for name, count in router_counts(model(source, target).routings).items()})
    reports, expected = router_reports(sums), expert_loads(model, batches)
    assert list(reports) == [f"{side} {layer}" for side, layer in expected]
    for (side, layer), loads in expected.items():
        found, report = reports[f"{side} {layer}"], router_report(loads)
        assert found["loads"] == pytest.approx(report.loads, abs=5e-5)
        assert found["cv"] == pytest.approx(report.cv, abs=5e-5)
        assert found["entropy"] == pytest.approx(report.entropy, abs=5e-5)
        assert found["dropped"] == 0


def test_dropped_pairs_are_those_beyond_the_room_of_each_batch():
    model, pairs, dropped = model_of(capacity_factor=0.8), Counter(), Counter()
    sums: Counter = Counter()
    for rows in (3, 6):
        routings = model(*batch(rows)).routings
        sums.update({name: float(count) for name, count in router_counts(routings).items()})
        for (side, layer), routing in routings.items():
            for load in routing.loads_E().tolist():
                pairs[f"{side} {layer}"] += load
                dropped[f"{side} {layer}"] += max(0, load - routing.room)
    for layer, report in router_reports(sums).items():
        assert report["dropped"] == pytest.approx(dropped[layer] / pairs[layer], abs=5e-5)
        assert report["dropped"] > 0


def test_dense_models_have_no_reports():
    assert router_reports(router_counts({})) == {}
