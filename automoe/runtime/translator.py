"""`Translator`: sentences in, translations out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from automoe.bundle import MANIFEST_FILE, PRECISIONS, SEGMENTER_FILE, Bundle, read_bundle
from automoe.decoding.hypothesis import Hypothesis, SearchConfig, is_whole
from automoe.decoding.search import search
from automoe.decoding.segmenter import Segmented, Segmenter
from automoe.decoding.stepper import Stepper
from automoe.decoding.symbols import EOS
from automoe.errors import AutoMoEError, BundleError, ConfigError
from automoe.runtime.backend import DEFAULT_BACKEND, check_device, find_backend
from automoe.threads import check_threads

_MOST_ROWS = 2048
"""Hypotheses that are followed at once; with more, wide beams and large batches together would take all memory."""


class TranslationWarning(UserWarning):
    """A sentence could not be translated as it stands; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """One translation of a sentence."""

    text: str
    score: float
    """Log probability / length ** length_penalty; 0 for the translation of an empty sentence."""
    tokens: tuple[int, ...]
    """Token ids, the end symbol last; none for an empty sentence."""


class _Use(NamedTuple):
    """What a model is opened for."""

    threads: int
    precision: str
    shortlist: bool
    device: str


_EMPTY = Translation(text="", score=0.0, tokens=())


def load(
    path: str | Path,
    *,
    backend: str = DEFAULT_BACKEND,
    threads: int = 1,
    precision: str = PRECISIONS[0],
    shortlist: bool = False,
    device: str = "cpu",
) -> Translator:
    """Opens a bundle for translation.

    Args:
        path: the bundle's folder.
        backend: what runs the model; see `automoe.runtime.backend`.
        threads: threads that it may use.
        precision: "float32", or "int8", which is faster and smaller and translates a little differently.
        shortlist: whether to score only tokens that the source's tokens became in the training data, which is
            faster. A batch has one list: translations then depend a little on what is translated with them.
        device: where the model runs: "cpu"; with the backend torch also "cuda", the first GPU, or "cuda:1".

    Raises:
        BundleError: no bundle, or a damaged one.
        ConfigError: there is no such backend, or it or the bundle cannot do what is asked.
        DependencyError: a package that is needed is not installed.
    """
    use = _Use(threads, precision, shortlist, device)
    _check_use(use)
    open_stepper = find_backend(backend)
    check_device(backend, device)
    bundle = read_bundle(path)
    segmenter = Segmenter.from_file(bundle.path(SEGMENTER_FILE), bundle.manifest.placeholder_pattern)
    vocab_size = bundle.manifest.model.get("vocab_size")
    if segmenter.vocab_size != vocab_size:
        raise BundleError(
            f"the segmenter has {segmenter.vocab_size} symbols",
            file=bundle.folder / MANIFEST_FILE,
            key="model.vocab_size",
            value=vocab_size,
            hint="Export the bundle again with the segmenter that the model was trained with",
        )
    return Translator(bundle, segmenter, partial(open_stepper, bundle), use)


class Translator:
    """A loaded bundle. Use `load` to get one; do not share one between threads.

    Args:
        bundle: the bundle.
        segmenter: its segmenter.
        open_stepper: opens its model.
        use: how, unless a call says otherwise.

    Raises:
        BundleError: the bundle's decoding defaults are unknown, or its model cannot be opened.
    """

    def __init__(self, bundle: Bundle, segmenter: Segmenter, open_stepper: Callable[..., Stepper], use: _Use) -> None:
        self.bundle = bundle
        self._segmenter, self._open_stepper, self._use = segmenter, open_stepper, use
        self._steppers: dict[_Use, Stepper] = {}
        self._defaults = _decoding_defaults(bundle)
        self._stepper(None, None, None)

    def translate(
        self,
        sentences: Sequence[str],
        *,
        beam: int | None = None,
        batch: int = 32,
        threads: int | None = None,
        precision: str | None = None,
        shortlist: bool | None = None,
        length_penalty: float | None = None,
        on_progress: Callable[[int], None] | None = None,
        on_warning: Callable[[int, str], None] | None = None,
    ) -> list[str]:
        """Translates sentences; see `translate_nbest`, of which this is the best text of each."""
        nbest = self.translate_nbest(
            sentences,
            beam=beam,
            batch=batch,
            threads=threads,
            precision=precision,
            shortlist=shortlist,
            length_penalty=length_penalty,
            on_progress=on_progress,
            on_warning=on_warning,
        )
        return [translations[0].text for translations in nbest]

    def translate_nbest(
        self,
        sentences: Sequence[str],
        *,
        beam: int | None = None,
        batch: int = 32,
        threads: int | None = None,
        precision: str | None = None,
        shortlist: bool | None = None,
        length_penalty: float | None = None,
        on_progress: Callable[[int], None] | None = None,
        on_warning: Callable[[int, str], None] | None = None,
    ) -> list[list[Translation]]:
        """Translates sentences and keeps all that the search finished.

        Sentences of like length are translated together, which in float32 and without a shortlist changes no
        translation (other than by the rounding of the model's sums).

        Args:
            sentences: any texts. One of white space alone gives the empty text; one with more tokens than the
                bundle's `max_source_tokens` is cut there; invalid UTF-8 that was decoded with
                `surrogateescape` is read as U+FFFD.
            beam: hypotheses that are followed; by default the bundle's.
            batch: sentences that are translated together; fewer with a very wide beam.
            threads: as in `load`, whose choice is the default; the model is opened once for each combination.
            precision: likewise.
            shortlist: likewise.
            length_penalty: see `SearchConfig`; by default the bundle's.
            on_progress: called with the number of sentences that have been finished since the last call.
            on_warning: called with the index of a sentence that was cut or held invalid UTF-8, and what was
                done; by default `warnings.warn` with a `TranslationWarning`.

        Returns:
            For each sentence, in order, at least one translation, best first.

        Raises:
            ConfigError: a number that makes no sense.
        """
        if isinstance(sentences, str):
            hint = 'Give a list: translate(["a sentence"])'
            raise ConfigError("sentences", sentences, "is one text and no list of sentences", hint=hint)
        if not is_whole(batch) or batch < 1:
            raise ConfigError("batch", batch, allowed="whole numbers >= 1")
        stepper = self._stepper(threads, precision, shortlist)
        config = self._config(beam, length_penalty)
        batch = min(batch, max(1, _MOST_ROWS // config.beam))
        sources = [self._segment(index, text, on_warning or _warn) for index, text in enumerate(sentences)]
        translations = [[_EMPTY] for _ in sources]
        waiting = [index for index, source in enumerate(sources) if len(source.ids_L) > 1]
        waiting.sort(key=lambda index: -len(sources[index].ids_L))
        if on_progress is not None and len(waiting) < len(sources):
            on_progress(len(sources) - len(waiting))
        for first in range(0, len(waiting), batch):
            together = waiting[first : first + batch]
            found = search(stepper, [sources[index].ids_L for index in together], config)
            for index, hypotheses in zip(together, found, strict=True):
                translations[index] = [self._text(hypothesis, sources[index]) for hypothesis in hypotheses]
            if on_progress is not None:
                on_progress(len(together))
        return translations

    def _stepper(self, threads: int | None, precision: str | None, shortlist: bool | None) -> Stepper:
        use = _Use(
            self._use.threads if threads is None else threads,
            self._use.precision if precision is None else precision,
            self._use.shortlist if shortlist is None else shortlist,
            self._use.device,
        )
        _check_use(use)
        if use not in self._steppers:
            self._steppers[use] = self._open_stepper(**use._asdict())
        return self._steppers[use]

    def _config(self, beam: int | None, length_penalty: float | None) -> SearchConfig:
        config = self._defaults
        if beam is not None:
            config = replace(config, beam=beam)
        return config if length_penalty is None else replace(config, length_penalty=length_penalty)

    def _segment(self, index: int, text: str, warn: Callable[[int, str], None]) -> Segmented:
        if not isinstance(text, str):
            raise ConfigError(f"sentences[{index}]", text, "is no text")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            warn(index, "invalid UTF-8 is read as U+FFFD")
        source = self._segmenter.encode(text)
        limit = self.bundle.manifest.max_source_tokens
        if len(source.ids_L) > limit:
            warn(index, f"{len(source.ids_L)} tokens are cut to the {limit} that this model takes")
            source = replace(source, ids_L=np.append(source.ids_L[: limit - 1], EOS))
        return source

    def _text(self, hypothesis: Hypothesis, source: Segmented) -> Translation:
        tokens = hypothesis.tokens.tolist()
        return Translation(
            text=self._segmenter.decode(tokens, source.placeholders),
            score=hypothesis.normalised,
            tokens=tuple(tokens),
        )


def _check_use(use: _Use) -> None:
    if not is_whole(use.threads):
        raise ConfigError("threads", use.threads, "is not a whole number")
    check_threads("threads", use.threads)
    if not isinstance(use.precision, str):
        raise ConfigError("precision", use.precision, allowed=", ".join(PRECISIONS))
    if not isinstance(use.shortlist, bool):
        raise ConfigError("shortlist", use.shortlist, allowed="True, False")


def _decoding_defaults(bundle: Bundle) -> SearchConfig:
    try:
        return SearchConfig.from_dict(bundle.manifest.decoding)
    except (AutoMoEError, TypeError) as error:
        raise BundleError(
            f"holds decoding defaults that this AutoMoE does not know ({error!s})",
            file=bundle.folder / MANIFEST_FILE,
            hint=f"Use AutoMoE {bundle.manifest.automoe_version}, which wrote it",
        ) from error


def _warn(index: int, message: str) -> None:
    """Warns at the line that called into this file, through whichever method, function or comprehension."""
    caller, level = sys._getframe(), 1
    file = caller.f_code.co_filename
    while caller.f_back is not None and caller.f_code.co_filename == file:
        caller, level = caller.f_back, level + 1
    warnings.warn(f"sentence {index + 1}: {message}", TranslationWarning, stacklevel=level)
