"""What `experiments/rank_fidelity/trained.py` makes of finished trainings."""

import importlib.util
from pathlib import Path

import pytest

from automoe.evaluation.fidelity import EQUAL_DEPTH, OVERALL, FidelityConfig
from automoe.evaluation.pair_statistics import ACCURACY
from automoe.pipeline.fidelity import LOSS, Compared

SCRIPT = Path(__file__).parents[1] / "experiments" / "rank_fidelity" / "trained.py"
SANDWICH, SAME_UPDATES, SAME_TIME = "sandwich", "single path, equal updates", "single path, equal time"


@pytest.fixture(scope="module")
def trained():
    spec = importlib.util.spec_from_file_location("rank_fidelity_trained", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def panel(inherited) -> list[Compared]:
    """Twelve architectures, the better the higher their number; `inherited` gives each its loss in a supernet."""
    return [
        Compared(
            digest=f"{number:012x}",
            decoder_layers=1 + number % 2,
            params=number // 4,
            flops=7,
            scratch_losses=(50.0 - number, 50.5 - number),
            scratch_bleus=(float(number), float(number)),
            inherited_loss=float(inherited(number)),
            inherited_bleu=0.0,
        )
        for number in range(12)
    ]


@pytest.fixture(scope="module")
def found(trained):
    """The sandwich orders all pairs rightly, one single path none, the other half of them."""
    ways = {SANDWICH: lambda n: 20 - n, SAME_UPDATES: lambda n: n, SAME_TIME: lambda n: 0}
    assert set(ways) == set(trained.SUPERNETS)
    return {trained.label(name, seed): panel(ways[name]) for name in trained.SUPERNETS for seed in trained.SEEDS}


def test_a_supernet_that_is_best_still_has_its_difference_to_the_best_trivial_order(trained, found):
    fidelity = trained.orders(found, FidelityConfig(resamples=200))[LOSS]
    rows = [row for row in fidelity.to_rows() if (row["scope"], row["statistic"]) == (OVERALL, ACCURACY)]
    (best,) = [row for row in rows if row["candidate"] == trained.label(SANDWICH, 1)]
    assert best["value"] == 1.0
    assert best["best_baseline"] == "parameters"
    assert best["above_best_value"] == pytest.approx(
        1.0 - fidelity.row("parameters", OVERALL, ACCURACY).estimate.value
    )
    assert best["above_best_lower"] > 0


def test_single_paths_are_compared_with_the_sandwich_of_the_same_seed(trained, found):
    rows = trained.differences(found, FidelityConfig(resamples=200))
    for name, value in ((SAME_UPDATES, -1.0), (SAME_TIME, -0.5)):
        for scope in (OVERALL, EQUAL_DEPTH):
            which = {"truth": LOSS, "scope": scope, "statistic": ACCURACY, "supernet": name}
            chosen = [row for row in rows if which.items() <= row.items()]
            assert [row["seed"] for row in chosen] == [1, 2]
            assert {row["value"] for row in chosen} == {value}


def test_the_table_holds_every_architecture_with_all_that_is_known_of_it(trained, found):
    rows = trained.table_of(found)
    assert len(rows) == 12
    assert rows[3]["scratch_loss_2"] == 47.5
    assert rows[3][f"loss with {trained.label(SAME_UPDATES, 2)}"] == 3.0
