"""What is scored on the test set: one system's translations, metrics, costs, expert loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from automoe.bundle import WEIGHTS_FILE
from automoe.cost import costs
from automoe.cost.reachable import reachable_params
from automoe.data import PreparedData
from automoe.data.batches import padded_batches
from automoe.decoding.placeholders import count_placeholder_errors
from automoe.evaluation import bleu, bleu_tokenizer, chrf
from automoe.files import write_atomically
from automoe.nn import Transformer
from automoe.nn.expert_loads import expert_loads
from automoe.progress import Progress
from automoe.runtime import load

_BATCH_TOKENS = 4096


class TestSet:
    """The test set of a prepared corpus, on which systems are scored.

    Args:
        prepared: the corpus.
        batch_size: sentences that are translated together.
    """

    __test__ = False  # no test of pytest's

    def __init__(self, prepared: PreparedData, batch_size: int) -> None:
        self._prepared, self._batch_size = prepared, batch_size
        self.sources, self.references = prepared.text("test", "src"), prepared.text("test", "tgt")

    def __len__(self) -> int:
        return len(self.sources)

    def scores(self, hypotheses: Sequence[str]) -> dict[str, Any]:
        """BLEU and chrF with their signatures, by name."""
        tokenize = bleu_tokenizer(self._prepared.target_lang)
        found = (bleu(hypotheses, self.references, tokenize=tokenize), chrf(hypotheses, self.references))
        return {score.name: {"value": score.value, "signature": score.signature} for score in found}

    def score_bundle(self, name: str, bundle: Path, model: Transformer, hypotheses_file: Path) -> dict[str, Any]:
        """Translates with a bundle as a user would, and keeps the translations.

        Args:
            name: what to call it while it works.
            bundle: the bundle.
            model: the model that is in it, for the loads of its experts.
            hypotheses_file: gets one translation a line.

        Returns:
            The scores, placeholders lost and invented, costs by name, and the test tokens of every expert.
        """
        translator = load(bundle)
        with Progress(f"translating the test set, {name}", total=len(self), unit="sentence") as progress:
            hypotheses = translator.translate(self.sources, batch_size=self._batch_size, on_progress=progress.advance)
        write_atomically(hypotheses_file, "".join(line + "\n" for line in hypotheses))
        batches = padded_batches(self._prepared, "test", _BATCH_TOKENS)
        loads = expert_loads(
            model, ((torch.from_numpy(batch.source_BS), torch.from_numpy(batch.previous_BL)) for batch in batches)
        )
        sizes: dict[str, Any] = {"vocab_size": model.config.vocab_size, "pre_norm": model.config.pre_norm}
        reachable = reachable_params(model.maximum, loads, **sizes)
        return {
            **self.scores(hypotheses),
            "placeholders": self._placeholders(hypotheses),
            "costs": costs(model.maximum, **sizes).to_dict() | {"params_reachable": reachable},
            "weights_bytes": (bundle / WEIGHTS_FILE).stat().st_size,
            "expert_loads": {f"{side} {layer}": counts for (side, layer), counts in loads.items()},
        }

    def _placeholders(self, hypotheses: Sequence[str]) -> dict[str, int] | None:
        pattern = self._prepared.summary.placeholder_pattern
        if pattern is None:
            return None
        errors = count_placeholder_errors(self.sources, hypotheses, pattern)
        return {"expected": errors.expected, "lost": errors.lost, "invented": errors.invented}
