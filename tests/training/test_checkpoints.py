"""Which checkpoint a training goes on from, without a training."""

from types import SimpleNamespace

import pytest
import torch

from automoe.training.checkpoints import Best, CheckpointFolder


class FakeTrainer:
    """What `CheckpointFolder` asks of fairseq's Trainer; its model is the number of the update."""

    def __init__(self):
        self.update = 0
        self.task = SimpleNamespace(datasets={})

    def get_num_updates(self):
        return self.update

    def consolidate_optimizer(self):
        pass

    def save_checkpoint(self, path, extra):
        torch.save({"model": {"update": torch.tensor(self.update)}, "extra": extra}, path)

    def load_checkpoint(self, path):
        state = torch.load(path, weights_only=True)
        self.update = int(state["model"]["update"])
        return state["extra"]

    def get_train_iterator(self, epoch, **_):
        return SimpleNamespace(epoch=epoch, load_state_dict=lambda state: None, state_dict=lambda: {"epoch": 1})

    def lr_step(self, epoch):
        pass


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of a training that was best at update 10: 10, 30 and 40 are kept."""
    checkpoints, trainer = CheckpointFolder(tmp_path / "checkpoints"), FakeTrainer()
    for update, loss in ((10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)):
        trainer.update = update
        checkpoints.save(trainer, trainer.get_train_iterator(1), Best(10, 1.0), loss)
    return checkpoints


def test_nothing_but_the_beginning_is_kept_as_the_best_until_another_is(tmp_path):
    checkpoints, trainer = CheckpointFolder(tmp_path / "checkpoints"), FakeTrainer()
    untouched = SimpleNamespace()  # fairseq's iterator has no state before its first batch
    checkpoints.save(trainer, untouched, Best(0, 1.0), 1.0)
    assert restored(checkpoints) == (0, Best(0, 1.0))
    for trainer.update in (10, 20, 30):
        checkpoints.save(trainer, trainer.get_train_iterator(1), Best(0, 1.0), 2.0)
    assert [path.name[-5:-3] for path in sorted(checkpoints.folder.iterdir())] == ["00", "20", "30"]


def restored(folder):
    trainer = FakeTrainer()
    _, best = folder.restore(trainer)
    return trainer.update, best


def test_the_newest_are_kept_and_the_best(folder):
    assert [path.name[-5:-3] for path in sorted(folder.folder.iterdir())] == ["10", "30", "40"]
    assert restored(folder) == (40, Best(10, 1.0))


def test_as_many_are_kept_as_will_be_averaged_and_the_initial_weights_are_none_of_them(tmp_path):
    checkpoints, trainer = CheckpointFolder(tmp_path / "checkpoints", average=3), FakeTrainer()
    for trainer.update in (0, 10, 20, 30):
        checkpoints.save(trainer, trainer.get_train_iterator(1), Best(0, 1.0), 1.0)
    assert checkpoints.last(9) == checkpoints.last(3) == [10, 20, 30] and checkpoints.last(2) == [20, 30]
    trainer.update = 40
    checkpoints.save(trainer, trainer.get_train_iterator(1), Best(0, 1.0), 1.0)
    checkpoints.path(30).write_bytes(b"garbage")
    assert [path.name[-5:-3] for path in sorted(checkpoints.folder.iterdir())] == ["00", "20", "30", "40"]
    assert checkpoints.last(3) == [20, 40]


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_one_is_passed_over(folder, content):
    newest = folder.path(40)
    newest.write_bytes(newest.read_bytes()[:300] if content is None else content)
    assert restored(folder) == (30, Best(10, 1.0))


def test_a_lost_best_costs_its_weights_and_not_the_training(folder):
    folder.path(10).write_bytes(b"garbage")
    assert restored(folder) == (40, Best(40, 4.0))


def test_without_any_that_is_whole_the_training_starts_anew(folder):
    for path in folder.folder.iterdir():
        path.write_bytes(b"")
    assert restored(folder) == (0, None)
