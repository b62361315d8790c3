"""Small models of fairseq's own `transformer`, trained on nothing, and saved by fairseq itself."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.tasks import setup_task
from fairseq.trainer import Trainer

KINDS = {
    "learned positions": [
        *("--encoder-learned-pos", "--decoder-learned-pos", "--activation-fn", "gelu", "--share-all-embeddings"),
    ],
    "sinusoids, norms before": [
        *("--encoder-normalize-before", "--decoder-normalize-before", "--share-decoder-input-output-embed"),
    ],
    "adaptive softmax": ["--adaptive-softmax-cutoff", "50,100", "--layernorm-embedding", "--decoder-layers", "1"],
    "joint attention": ["--cross-self-attention", "--no-cross-attention", "--decoder-output-dim", "12"],
}
"""Names of models, and what they ask of fairseq."""
SAME_DICTIONARIES = ("learned positions",)
"""Those whose dictionaries hold the pieces in our order; that of the others' is drawn."""
SIZES = [
    *("--arch", "transformer_tiny", "--encoder-embed-dim", "16", "--decoder-embed-dim", "16"),
    *("--encoder-ffn-embed-dim", "24", "--decoder-ffn-embed-dim", "24", "--dropout", "0.3"),
    *("--max-source-positions", "40", "--max-target-positions", "30"),
]


def write_dictionaries(folder: Path, pieces: list[str], *, shuffled: bool) -> None:
    """What fairseq-preprocess writes of each language."""
    for seed, language in enumerate(("en", "de")):
        own = pieces[4:]
        if shuffled:
            random.Random(seed).shuffle(own)
            own += [f"madeupword{number:04d}" for number in range(3 + seed)]
        (folder / f"dict.{language}.txt").write_text("".join(f"{piece} {7 + seed}\n" for piece in own))


def save_stock(folder: Path, pieces: list[str], kind: str = "learned positions", *flags: str) -> SimpleNamespace:
    """A folder of `checkpoint.pt` and dictionaries, as a training of fairseq leaves them.

    Returns:
        The checkpoint's `path`, the `model` and its `task`.
    """
    folder.mkdir(exist_ok=True)
    write_dictionaries(folder, pieces, shuffled=kind not in SAME_DICTIONARIES)
    arguments = [*(str(folder), "-s", "en", "-t", "de"), *SIZES, *KINDS[kind], *flags]
    arguments += ["--optimizer", "adam", "--cpu", "--save-dir", str(folder), "--max-tokens", "100", "--lr", "0.1"]
    config = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), arguments))
    torch.manual_seed(3)
    task = setup_task(config.task)
    model = task.build_model(config.model)
    with torch.no_grad():
        for weight in model.parameters():  # else all scores are alike
            weight.add_(torch.randn(weight.shape) * weight.shape[-1] ** -0.5)
    trainer = Trainer(config, task, model, task.build_criterion(config.criterion))
    trainer.consolidate_optimizer()  # fairseq expects this call before it saves
    trainer.save_checkpoint(str(folder / "checkpoint.pt"), {"val_loss": 1.0})
    return SimpleNamespace(path=folder / "checkpoint.pt", model=model.eval(), task=task)
