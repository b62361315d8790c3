"""The comparison of ways to go on learning: its settings exist, and its ratios and tables are right."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest

EXPERIMENT = Path(__file__).parents[1] / "experiments/distillation"


@pytest.fixture(scope="module")
def experiment():
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("distillation_experiment", EXPERIMENT / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_every_way_is_a_configuration(experiment):
    from automoe.pipeline.compose import compose
    from automoe.pipeline.config import RunConfig

    args = experiment.options().parse_args(["some", "--times", "2", "--sequence-times", "4"])
    ways = experiment.ways_of(args)
    assert [way.name for way in ways[-2:]] == ["from scratch, 2 x", "sequence, 4 x"]
    for way in ways:
        configs = []
        compose("automoe distill", way.settings, RunConfig, configs.append)
        (config,) = configs
        scratch = way.name.startswith("from scratch")
        assert config.distill.initial == ("random" if scratch else "inherited")
        assert (config.distill.targets == "teacher") == ("sequence" in way.name)
        assert (config.distill.share > 0) == ("word" in way.name)


def row(way, updates, loss, run="a"):
    scores = {f"{metric} {how}": 100 / loss for metric in ("BLEU", "chrF") for how in ("greedy", "beam 5")}
    return {"run": run, "way": way, "updates": updates, "valid_nll": loss, **scores}


@pytest.mark.parametrize("measure", ["valid_nll", "BLEU beam 5"])
def test_catching_up_is_interpolated_between_the_trainings_around_it(experiment, measure):
    rows = [row("word", 1000, 2.5), row("from scratch", 1000, 3.0), row("from scratch, 4 x", 4000, 2.0)]
    ratio = experiment.catch_up(rows, "word", measure)
    assert 1 < ratio < 4
    if measure == "valid_nll":
        assert ratio == pytest.approx(math.sqrt(4))
    assert experiment.catch_up([row("word", 1000, 1.9), *rows[1:]], "word", measure) is None
    assert experiment.catch_up([row("word", 1000, 3.1), *rows[1:]], "word", measure) == 1.0


def test_the_table_has_means_and_spreads_over_the_runs(experiment):
    rows = [row("word", 1000, loss, run) for run, loss in (("a", 2.0), ("b", 4.0))]
    last = experiment.table(rows).splitlines()[-1]
    assert last.startswith("| word | 1,000 | 3.000 ± 1.414 | 37.5 ± 17.7 |")
