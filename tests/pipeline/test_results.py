"""What commands print of finished stages."""

from automoe.pipeline.results import COMMANDS
from automoe.training.log import TrainingLog


def printed(folder):
    result, table = COMMANDS["supernet"]
    return table({**result({"supernet": folder}), "folder": str(folder)})


def test_validations_stand_beside_how_unevenly_the_routers_spread_their_tokens(tmp_path):
    log = TrainingLog(tmp_path, resumed_at=None)
    routers = {
        "encoder 0": {"loads": [0.5, 0.5], "cv": 0.0, "entropy": 1.0, "dropped": 0.0},
        "decoder 1": {"loads": [0.9, 0.1], "cv": 0.8, "entropy": 0.47, "dropped": 0.0},
    }
    log.write("valid", 300, nll_loss=5.0, panel={"largest": 4.9}, routers=routers)
    header, *_, row, _ = printed(tmp_path).splitlines()
    assert header.split("  ")[-2:] == ["loads' CV, mean", "entropy, least"]
    assert row.split()[-2:] == ["0.40", "0.47"]


def test_dense_models_have_no_columns_for_routers(tmp_path):
    TrainingLog(tmp_path, resumed_at=None).write("valid", 300, nll_loss=5.0)
    assert "entropy" not in printed(tmp_path)
