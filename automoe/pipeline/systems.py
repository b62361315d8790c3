"""What is scored on the test set: one system's translations, metrics, costs, expert loads, and how it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from automoe.bundle import PRECISIONS, SHORTLIST_FILE, Bundle, graph_file, weights_file
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
from automoe.runtime.backend import DEFAULT_BACKEND

MODEL, INHERITS, LARGEST, COPY = "model", "inherited", "largest", "copy_the_source"
"""The systems: the bundle; its architecture with the supernet's weights; the largest sub-transformer; no model."""
WITH_SHORTLIST = f"{MODEL}_shortlist"
_BATCH_TOKENS = 4096


def hypotheses_file(system: str) -> str:
    """Name of the file with a system's translations."""
    return f"hypotheses.{system}.txt"


def sample_rows(num: int, most: int) -> Sequence[int]:
    """At most `most` of `num` sentences, evenly spread."""
    return range(0, max(1, num // most) * min(most, num), max(1, num // most))


def in_precision(precision: str) -> str:
    """Name of the system that is the bundle in another precision than it was measured in."""
    return f"{MODEL}_{precision}"


@dataclass(frozen=True, kw_only=True)
class Use:
    """How a bundle is run: what `runtime.load` takes."""

    backend: str = DEFAULT_BACKEND
    precision: str = PRECISIONS[0]
    shortlist: bool = False
    device: str = "cpu"


def other_uses(bundle: Bundle, own: Use) -> dict[str, Use]:
    """Further systems: ONNX Runtime in each other precision that the bundle holds, and with its shortlist."""
    files = bundle.manifest.files
    uses = {
        in_precision(precision): Use(precision=precision)
        for precision in PRECISIONS
        if precision != own.precision and graph_file("encoder", precision) in files
    }
    if SHORTLIST_FILE in files:
        precision = own.precision if own.precision in PRECISIONS else PRECISIONS[0]
        uses[WITH_SHORTLIST] = Use(precision=precision, shortlist=True)
    return uses


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

    def score_bundle(self, name: str, bundle: Path, use: Use, hypotheses_file: Path) -> dict[str, Any]:
        """Translates with a bundle as a user would, and keeps the translations.

        Args:
            name: what to call it while it works.
            bundle: the bundle.
            use: how to run it.
            hypotheses_file: gets one translation a line.

        Returns:
            The scores, placeholders lost and invented, and the size of the weights that were loaded.
        """
        translator = load(bundle, **asdict(use))
        with Progress(f"translating the test set, {name}", total=len(self), unit="sentence") as progress:
            hypotheses = translator.translate(self.sources, batch=self._batch_size, on_progress=progress.advance)
        write_atomically(hypotheses_file, "".join(line + "\n" for line in hypotheses))
        return {
            **self.scores(hypotheses),
            "placeholders": self._placeholders(hypotheses),
            "weights_bytes": (bundle / weights_file(use.precision)).stat().st_size,
        }

    def costs_and_loads(self, model: Transformer) -> dict[str, Any]:
        """What a model costs, by name, and the test tokens of each of its experts."""
        batches = padded_batches(self._prepared, "test", _BATCH_TOKENS)
        loads = expert_loads(
            model, ((torch.from_numpy(batch.source_BS), torch.from_numpy(batch.previous_BL)) for batch in batches)
        )
        sizes: dict[str, Any] = {"vocab_size": model.config.vocab_size, "pre_norm": model.config.pre_norm}
        reachable = reachable_params(model.maximum, loads, **sizes)
        return {
            "costs": costs(model.maximum, **sizes).to_dict() | {"params_reachable": reachable},
            "expert_loads": {f"{side} {layer}": counts for (side, layer), counts in loads.items()},
        }

    def _placeholders(self, hypotheses: Sequence[str]) -> dict[str, int] | None:
        pattern = self._prepared.summary.placeholder_pattern
        if pattern is None:
            return None
        errors = count_placeholder_errors(self.sources, hypotheses, pattern)
        return {"expected": errors.expected, "lost": errors.lost, "invented": errors.invented}
