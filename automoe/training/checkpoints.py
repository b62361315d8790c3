"""The checkpoints of one training: whole or absent, the newest ones and the best one kept.

fairseq's own saving copies its last checkpoint in place, so that a kill can leave it torn, and keeps the
best loss in a function attribute. Here both are the business of this folder.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from automoe.files import PARTIAL
from automoe.training.distributed import agreed, leads

logger = logging.getLogger(__name__)
_KEPT = 2


@dataclass(frozen=True)
class Best:
    """The validation whose weights are the result so far: with the lowest loss, or the newest, see `loop.run`."""

    update: int
    loss: float


class CheckpointFolder:
    """Saves and restores a fairseq Trainer.

    Args:
        folder: where; it is made.
        average: how many of the newest checkpoints are asked for at the end, see `last`.
    """

    def __init__(self, folder: Path, *, average: int = 1) -> None:
        self.folder = folder
        self._kept = max(_KEPT, average)
        folder.mkdir(exist_ok=True)

    def path(self, update: int) -> Path:
        """The checkpoint that was written after `update` optimiser steps."""
        return self.folder / f"checkpoint_{update:08d}.pt"

    def save(self, trainer: Any, epoch_iterator: Any, best: Best, loss: float) -> None:
        """Writes a checkpoint of the trainer, then removes those that are neither recent nor the best.

        Of several processes only the leading one does.

        Args:
            trainer: fairseq's.
            epoch_iterator: fairseq's, at the place in the data that was reached; at update 0 its beginning.
            best: the best validation so far, this one included.
            loss: that of this validation.
        """
        trainer.consolidate_optimizer()  # fairseq expects this call before it saves
        if not leads():
            return
        update = trainer.get_num_updates()
        # Before the first batch fairseq's iterator has no state.
        place = epoch_iterator.state_dict() if update > 0 else {"epoch": 1, "iterations_in_epoch": 0}
        path = self.path(update)
        aside = path.with_name(path.name + PARTIAL)
        state = {"train_iterator": place, "best": [best.update, best.loss], "loss": loss}
        trainer.save_checkpoint(str(aside), state)
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        aside.replace(path)
        for old in self._all()[: -self._kept]:
            if old != self.path(best.update):
                old.unlink()

    def restore(self, trainer: Any) -> tuple[Any, Best | None]:
        """Restores the newest checkpoint that can be read, and the place in the data where it was written.

        Of several processes the leading one chooses, and each reads it.

        Returns:
            fairseq's epoch iterator (at the beginning if there is no checkpoint), and the best so far (None then).
        """
        path = agreed(self._newest)
        if path is None:
            epoch_iterator = epoch_batches(trainer, 1)
            trainer.lr_step(epoch_iterator.epoch)
            return epoch_iterator, None
        extra = trainer.load_checkpoint(str(path))
        epoch_iterator = epoch_batches(trainer, extra["train_iterator"]["epoch"])
        epoch_iterator.load_state_dict(extra["train_iterator"])
        trainer.lr_step(epoch_iterator.epoch)
        best, this = Best(*extra["best"]), Best(trainer.get_num_updates(), extra["loss"])
        return epoch_iterator, agreed(lambda: self._best_left(best, this))

    def _newest(self) -> Path | None:
        """The newest checkpoint that can be read; those after it are removed."""
        for path in reversed(self._all()):
            if _readable(path):
                return path
            logger.warning("%s is damaged; the one before it is used", path)
            path.unlink()
        return None

    def _best_left(self, best: Best, this: Best) -> Best:
        """The best validation, or if its checkpoint is lost the one that is restored."""
        if best.update == this.update or _readable(self.path(best.update)):
            return best
        logger.warning("%s is lost; %s takes its place as the best", self.path(best.update), self.path(this.update))
        return this

    def last(self, count: int) -> list[int]:
        """Updates of the newest checkpoints that can be read, at most `count` and oldest first.

        That of update 0, the initial weights, is none of them.
        """
        updates: list[int] = []
        for path in reversed(self._all()):
            update = int(path.stem.removeprefix("checkpoint_"))
            if len(updates) < count and update > 0 and _readable(path):
                updates.append(update)
        return updates[::-1]

    def weights(self, update: int) -> dict[str, torch.Tensor]:
        """The model's weights in the checkpoint of `update`."""
        state = torch.load(self.path(update), map_location="cpu", weights_only=True)
        weights: dict[str, torch.Tensor] = state["model"]
        return weights

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("checkpoint_*.pt"))


def epoch_batches(trainer: Any, epoch: int) -> Any:
    """fairseq's iterator over the training batches of one epoch.

    fairseq makes batches with a seed that counts the epoch, and then keeps them for the epochs after; a
    resumed training would make others. Without its cache every epoch has its own, resumed or not.
    """
    loaded = "train" in trainer.task.datasets
    return trainer.get_train_iterator(epoch, load_dataset=not loaded, disable_iterator_cache=True)


def _readable(path: Path) -> bool:
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch makes of damaged bytes
        logger.warning("%s: %s", path, error)
        return False
    return True
