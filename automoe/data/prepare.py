"""Raw corpus to training data: one folder with the text, the token ids, the segmenter and a summary.

    text/{train,valid,test}.{src,tgt}      cleaned sentences, one a line, placeholders as they were
    ids/{train,valid,test}.{src,tgt}.*     the same sentences as token ids (`IdArray`)
    segmenter.model                        the joint SentencePiece model
    data.json                              the summary with the checksums of all files, its own too, written last

Targets share the numbers of their source's placeholders.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from automoe.data.cleaning import Pair, clean, length_flaw
from automoe.data.config import CleaningConfig, DataConfig
from automoe.data.corpus import Corpus, open_corpus
from automoe.data.ids import IdArray, id_files, write_ids
from automoe.data.segmentation import train_segmenter
from automoe.data.splits import SPLITS, count_overlaps, split_pairs
from automoe.decoding.segmenter import Segmenter, normalise
from automoe.decoding.stepper import Int64Array
from automoe.errors import DataError
from automoe.files import is_sealed, sealed_json, sha256_of, write_atomically
from automoe.progress import Progress

FORMAT = 1
"""Version of the folder's layout."""
SIDES = ("src", "tgt")

_SUMMARY = "data.json"
_MODEL = "segmenter.model"

Counts = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """What a prepared folder holds and what became of the corpus."""

    corpus: str
    fingerprint: str
    source_lang: str
    target_lang: str
    placeholder_pattern: str | None
    vocab_size: int
    segmenter: str
    """Digest of the segmenter."""
    pairs_read: int
    """Pairs of the corpus before cleaning, predefined validation and test sets left out."""
    dropped: Counts
    """Pairs dropped, by reason."""
    sizes: Counts
    """Pairs of each split."""
    tokens: Mapping[str, Counts]
    """Tokens of each split and side, end-of-sentence symbols included."""
    overlaps: Mapping[str, Counts]
    """For "source" and "target": held-out pairs whose normalised side also stands in training."""

    def __str__(self) -> str:
        dropped = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        lines = [
            f"{self.corpus} {self.source_lang}-{self.target_lang}: {self.pairs_read} pairs read; "
            f"dropped: {dropped or 'none'}; vocabulary {self.vocab_size}",
            f"{'split':<7}{'pairs':>9}{'tokens src':>12}{'tgt':>10}{'mean src':>10}{'tgt':>7}"
            f"{'in training: sources':>23}{'targets':>9}",
        ]
        for split, size in self.sizes.items():
            source, target = (self.tokens[split][side] for side in SIDES)
            line = f"{split:<7}{size:>9}{source:>12}{target:>10}{source / size:>10.1f}{target / size:>7.1f}"
            if split != "train":
                line += f"{self.overlaps['source'][split]:>23}{self.overlaps['target'][split]:>9}"
            lines.append(line)
        return "\n".join(lines)


def prepare(config: DataConfig, out: Path) -> DataSummary:
    """Reads, cleans, splits and segments a corpus into the folder `out`.

    The same corpus and configuration give the same bytes. The caller hands in a folder aside and renames it.

    Raises:
        ConfigError: an unknown corpus, or options that it does not have.
        DataError: the corpus is missing, damaged or too small.
    """
    corpus = open_corpus(config)
    fingerprint = corpus.fingerprint()
    raw = _read(corpus)
    cleaned, dropped = clean(raw, config.cleaning, config.placeholder_pattern)
    _check_not_empty("train", cleaned, dropped)
    splits = _divide(cleaned, corpus, config)
    segmenter = _trained_segmenter(splits["train"], config)

    for folder in ("text", "ids"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_atomically(out / _MODEL, segmenter.model)
    tokens: dict[str, Counts] = {}
    for split in SPLITS:
        limits = None if split in corpus.splits()[1:] else config.cleaning
        splits[split], ids = _segment(split, splits[split], segmenter, limits, dropped)
        _check_not_empty(split, splits[split], dropped)
        tokens[split] = _write_split(out, split, splits[split], ids, segmenter.vocab_size)

    summary = DataSummary(
        corpus=config.corpus,
        fingerprint=fingerprint,
        source_lang=config.source,
        target_lang=config.target,
        placeholder_pattern=config.placeholder_pattern,
        vocab_size=segmenter.vocab_size,
        segmenter=segmenter.digest,
        pairs_read=len(raw),
        dropped=dropped,
        sizes={split: len(splits[split]) for split in SPLITS},
        tokens=tokens,
        overlaps=count_overlaps(splits, config.placeholder_pattern),
    )
    files = {str(file): sha256_of(out / file) for file in _files()}
    write_atomically(out / _SUMMARY, sealed_json({"format": FORMAT, **asdict(summary), "files": files}))
    return summary


class PreparedData:
    """A finished folder of `prepare`, opened for reading.

    Args:
        folder: the folder.
        summary: its summary.
    """

    def __init__(self, folder: Path, summary: DataSummary) -> None:
        self.folder = folder
        self.summary = summary

    @classmethod
    def open(cls, folder: Path) -> PreparedData:
        """Opens a folder after comparing every file with its checksum.

        Raises:
            DataError: the folder is missing, half-written, altered or of another version.
        """
        file = folder / _SUMMARY
        hint = "Remove the folder and prepare the data again: automoe data"
        if not file.is_file():
            raise DataError("the data folder is missing or was not finished", file=file, hint=hint)
        content = _read_summary(file, hint)
        checksums = content.pop("files", {})
        for name in map(str, _files()):
            if not (folder / name).is_file():
                raise DataError("the file is missing", file=folder / name, hint=hint)
            if sha256_of(folder / name) != checksums.get(name):
                raise DataError("the file was altered after it was prepared", file=folder / name, hint=hint)
        try:
            return cls(folder, DataSummary(**content))
        except TypeError as error:
            raise DataError(f"the summary is damaged: {error}", file=file, hint=hint) from error

    @property
    def source_lang(self) -> str:
        """Language code of the sources."""
        return self.summary.source_lang

    @property
    def target_lang(self) -> str:
        """Language code of the targets."""
        return self.summary.target_lang

    @cached_property
    def segmenter(self) -> Segmenter:
        """The segmenter that made the token ids."""
        return Segmenter.from_file(self.folder / _MODEL, self.summary.placeholder_pattern)

    def text(self, split: str, side: str) -> list[str]:
        """The sentences of "train", "valid" or "test" on side "src" or "tgt"."""
        return (self.folder / _text_file(split, side)).read_text(encoding="utf-8").removesuffix("\n").split("\n")

    def ids(self, split: str, side: str) -> IdArray:
        """The same sentences as token ids, mapped from the disk."""
        return IdArray.open(self.folder / _ids_path(split, side))


def _read(corpus: Corpus) -> list[Pair]:
    pairs = []
    with Progress("reading sentence pairs", unit="pair") as progress:
        for pair in corpus.pairs("train"):
            pairs.append(pair)
            progress.advance()
    return pairs


def _trained_segmenter(pairs: Sequence[Pair], config: DataConfig) -> Segmenter:
    texts = (text for pair in pairs for text in pair)
    with Progress("training the segmenter", total=1, unit="model") as progress:
        model = train_segmenter(texts, config.vocabulary, config.placeholder_pattern)
        progress.advance()
    return Segmenter(model, config.placeholder_pattern)


def _divide(cleaned: Sequence[Pair], corpus: Corpus, config: DataConfig) -> dict[str, list[Pair]]:
    """Training pairs, with the predefined sets normalised and otherwise left alone, the others cut off."""
    predefined = {
        split: [(normalise(source), normalise(target)) for source, target in corpus.pairs(split)]
        for split in corpus.splits()
        if split != "train"
    }
    wanted = [split for split in ("valid", "test") if split not in predefined]
    return split_pairs(cleaned, wanted, config.split, config.placeholder_pattern) | predefined


def _segment(
    split: str, pairs: Sequence[Pair], segmenter: Segmenter, limits: CleaningConfig | None, dropped: dict[str, int]
) -> tuple[list[Pair], list[tuple[Int64Array, Int64Array]]]:
    """The pairs whose lengths are within the limits (None: all pairs), and their ids; counts the others."""
    kept, ids = [], []
    with Progress(f"segmenting {split}", total=len(pairs), unit="pair") as progress:
        for source, target in pairs:
            progress.advance()
            segmented = segmenter.encode(source)
            source_L = segmented.ids_L
            target_L = segmenter.encode(target, numbering=segmented.placeholders).ids_L
            reason = limits and length_flaw(len(source_L), len(target_L), limits)
            if reason:
                dropped[reason] += 1
            else:
                kept.append((source, target))
                ids.append((source_L, target_L))
    return kept, ids


def _check_not_empty(split: str, pairs: Sequence[Pair], dropped: Counts) -> None:
    if not pairs:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
        raise DataError(f"no pair is left for {split} (dropped: {reasons or 'none'})", hint="See data.cleaning")


def _write_split(
    out: Path, split: str, pairs: Sequence[Pair], ids: Sequence[tuple[Int64Array, Int64Array]], vocab_size: int
) -> dict[str, int]:
    """Writes text and ids of both sides; returns the number of tokens of each."""
    tokens = {}
    for index, side in enumerate(SIDES):
        lines = "".join(pair[index] + "\n" for pair in pairs)
        write_atomically(out / _text_file(split, side), lines)
        sentences = [pair_ids[index] for pair_ids in ids]
        write_ids(out / _ids_path(split, side), sentences, vocab_size)
        tokens[side] = sum(map(len, sentences))
    return tokens


def _files() -> Iterable[Path]:
    """All files of a prepared folder but the summary, relative to it."""
    yield Path(_MODEL)
    for split in SPLITS:
        for side in SIDES:
            yield _text_file(split, side)
            yield from id_files(_ids_path(split, side))


def _text_file(split: str, side: str) -> Path:
    return Path("text", f"{split}.{side}")


def _ids_path(split: str, side: str) -> Path:
    return Path("ids", f"{split}.{side}")


def _read_summary(file: Path, hint: str) -> dict[str, Any]:
    """The content of `data.json` without format and checksum, which are right."""
    try:
        text = file.read_bytes().decode()
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"the summary is damaged: {error}", file=file, hint=hint) from error
    if not isinstance(content, dict):
        raise DataError("the summary is damaged", file=file, hint=hint)
    if content.pop("format", None) != FORMAT:
        raise DataError("the data folder has another version", file=file, allowed=f"{FORMAT}", hint=hint)
    if not is_sealed(text):
        raise DataError("the summary was altered after it was written", file=file, hint=hint)
    del content["checksum"]
    return content
