"""The engines, one class each, as the worker sees them. What they need is imported when one is made.

run = engine.job(task)      # all that can be done beforehand
raw = run()                 # timed
engine.tokens(raw)          # token ids of the best translation of each sentence
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from task import EOS, Batch, Task

Ids = list[int]
Run = Callable[[], Any]


class AutoMoE:
    """Our runtime, or our PyTorch back end.

    Args:
        folder: of the model.
        backend: onnx or torch.
        precision: float32 or int8.
        shortlist: whether to score the bundle's shortlist only.
    """

    def __init__(
        self, folder: str, *, backend: str = "onnx", precision: str = "float32", shortlist: bool = False
    ) -> None:
        from automoe.bundle import read_bundle
        from automoe.runtime.backend import find_backend

        self.bundle = read_bundle(Path(folder) / "bundle")
        self.stepper = find_backend(backend)(self.bundle, threads=1, precision=precision, shortlist=shortlist)
        if backend == "onnx":
            assert "torch" not in sys.modules, "the shipped runtime needs no torch"

    def settings(self) -> str:
        """What it runs with."""
        if "torch" in sys.modules:
            import torch

            return f"torch {torch.__version__}, {torch.get_num_threads()} thread"
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}, 1 thread"

    def job(self, task: Task) -> Run:
        """The search over all batches."""
        import numpy as np

        from automoe.decoding import search

        work = [([np.array(ids) for ids in batch.sources], _config(batch, task.beam)) for batch in task.batches]
        return lambda: [nbest for sources, config in work for nbest in search(self.stepper, sources, config)]

    def tokens(self, raw: Any) -> list[Ids]:
        """Tokens of the best hypotheses, the end symbol last."""
        return [nbest[0].tokens.tolist() for nbest in raw]

    def ranking(self, task: Task) -> list[list[Ids]]:
        """All hypotheses of each sentence, ranked by their words alone, without the end symbol."""
        import numpy as np

        from automoe.decoding import search
        from automoe.latency import ForcedLength

        found = []
        for batch in task.batches:
            assert batch.words is not None
            stepper = ForcedLength(self.stepper, [batch.words] * len(batch.sources))
            sources = [np.array(ids) for ids in batch.sources]
            found += search(stepper, sources, _config(batch, task.beam))
        return [[hypothesis.tokens.tolist()[:-1] for hypothesis in nbest] for nbest in found]

    def watch(self, task: Task) -> dict[str, Any]:
        """Counts decoding steps and the beams that differ, over sentences one at a time."""
        import numpy as np

        from automoe.decoding import search
        from automoe.latency.beam_watch import BeamWatch

        watched = BeamWatch(self.stepper)
        for batch in task.batches:
            for ids in batch.sources:
                search(watched, [np.array(ids)], _config(batch, task.beam))
        return {"steps": watched.steps, "distinct_beams": watched.distinct_beams}

    def breakdown(self, task: Task, seconds: float) -> dict[str, float]:
        """Where the time goes; see `breakdown.breakdown`."""
        from breakdown import breakdown

        return breakdown(self.stepper, self.job(task), seconds)

    def routing(self, task: Task) -> dict[str, Any]:
        """Where tokens go; only with the torch back end. See `routing.watch_routing`."""
        from routing import watch_routing

        return watch_routing(self.job(task), self.bundle.manifest.architecture)


def _config(batch: Batch, beam: int) -> Any:
    from automoe.decoding import SearchConfig

    if batch.words is None:
        return SearchConfig(beam=beam, max_ratio=0.0, max_extra=batch.limit)
    return SearchConfig(beam=beam, max_ratio=0.0, max_extra=batch.words, min_length=batch.words)


class CTranslate2:
    """CTranslate2. It emits no end symbol at its longest length: it is given a word more, so as many steps.

    Args:
        folder: of the model.
        precision: float32 or int8.
    """

    def __init__(self, folder: str, *, precision: str = "float32") -> None:
        import ctranslate2

        self._version = ctranslate2.__version__
        path = Path(folder) / "ctranslate2" / precision
        self._translator = ctranslate2.Translator(
            str(path), device="cpu", intra_threads=1, inter_threads=1, compute_type=precision
        )
        self._pieces = json.loads((path / "shared_vocabulary.json").read_bytes())
        self._ids = {piece: index for index, piece in enumerate(self._pieces)}

    def settings(self) -> str:
        """What it runs with."""
        return f"ctranslate2 {self._version}, compute_type {self._translator.compute_type}, 1 thread"

    def job(self, task: Task) -> Run:
        """Calls of `translate_batch`, one a batch."""
        work = [(self._texts(batch), self._options(batch, task, extra=1)) for batch in task.batches]
        translate = self._translator.translate_batch
        return lambda: [result for texts, options in work for result in translate(texts, **options)]

    def tokens(self, raw: Any) -> list[Ids]:
        """Tokens of the best hypotheses."""
        return [[self._ids[piece] for piece in result.hypotheses[0]] for result in raw]

    def ranking(self, task: Task) -> list[list[Ids]]:
        """All hypotheses of each sentence, best first."""
        found = []
        for batch in task.batches:
            options = self._options(batch, task, extra=0) | {"num_hypotheses": task.beam}
            found += self._translator.translate_batch(self._texts(batch), **options)
        return [[[self._ids[piece] for piece in hypothesis] for hypothesis in r.hypotheses] for r in found]

    def _texts(self, batch: Batch) -> list[list[str]]:
        return [[self._pieces[index] for index in ids if index != EOS] for ids in batch.sources]

    def _options(self, batch: Batch, task: Task, *, extra: int) -> dict[str, Any]:
        options: dict[str, Any] = {"beam_size": task.beam, "max_batch_size": 0}
        if batch.words is None:
            return options | {"max_decoding_length": batch.limit + 1, "return_end_token": True}
        return options | dict.fromkeys(("min_decoding_length", "max_decoding_length"), batch.words + extra)


class Fairseq:
    """fairseq's `SequenceGenerator` on its own `transformer`. Sentences of a batch must be of one length.

    Args:
        folder: of the model.
    """

    def __init__(self, folder: str) -> None:
        import logging

        import torch

        logging.disable(logging.INFO)
        from fairseq import checkpoint_utils
        from omegaconf import OmegaConf

        import automoe.training.registration  # noqa: F401
        from automoe.export.fairseq_checkpoint import CHECKPOINT_FILE

        torch.set_num_threads(1)
        path = Path(folder) / "fairseq"
        self._models, _, self._task = checkpoint_utils.load_model_ensemble_and_task(
            [str(path / CHECKPOINT_FILE)], arg_overrides={"data": str(path)}
        )
        for model in self._models:
            model.eval().prepare_for_inference_(OmegaConf.create({"generation": {}}))  # as fairseq-generate does

    def settings(self) -> str:
        """What it runs with."""
        import fairseq
        import torch

        return f"fairseq {fairseq.__version__}, torch {torch.__version__}, {torch.get_num_threads()} thread"

    def job(self, task: Task) -> Run:
        """Calls of `SequenceGenerator.generate`, one a batch."""
        import torch
        from fairseq.sequence_generator import SequenceGenerator

        work = []
        for batch in task.batches:
            assert batch.words is not None and len(set(map(len, batch.sources))) == 1
            generator = SequenceGenerator(
                self._models,
                self._task.target_dictionary,
                beam_size=task.beam,
                max_len_a=0,
                max_len_b=batch.words,
                min_len=batch.words,
            )
            source_BS = torch.tensor(batch.sources)
            lengths_B = torch.full((len(source_BS),), source_BS.shape[1])
            work.append((generator, {"net_input": {"src_tokens": source_BS, "src_lengths": lengths_B}}))
        return lambda: [nbest for generator, sample in work for nbest in generator.generate(self._models, sample)]

    def tokens(self, raw: Any) -> list[Ids]:
        """Tokens of the best hypotheses, the end symbol last."""
        return [nbest[0]["tokens"].tolist() for nbest in raw]


ENGINES: dict[str, Callable[..., Any]] = {"automoe": AutoMoE, "ctranslate2": CTranslate2, "fairseq": Fairseq}


def agree(ours: Sequence[Any], theirs: Sequence[Any]) -> int:
    """How many of the sentences are translated alike."""
    return sum(our == their for our, their in zip(ours, theirs, strict=True))
