"""Other formats of a bundle. One file each here, or an entry point elsewhere.

A format is a module with a function `write` of the form `Write` and a tuple `QUANTIZATIONS` of the values that its
argument `quantization` may have, the default first. Another package adds one with the entry point
`automoe.exporters`: `NAME = "its.module"`.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from automoe.bundle import EXPORT_AGAIN, SEGMENTER_FILE, Bundle
from automoe.decoding.segmenter import Segmenter
from automoe.errors import BundleError, ConfigError, DependencyError, did_you_mean
from automoe.files import PARTIAL, finish_folder
from automoe.nn import Transformer

ENTRY_POINTS = "automoe.exporters"
_OURS = {
    "ctranslate2": "automoe.export.ctranslate2",
    "torch": "automoe.export.torch_program",
    "fairseq": "automoe.export.fairseq_checkpoint",
}


class Write(Protocol):
    """Writes a bundle in another format."""

    def __call__(self, transformer: Transformer, bundle: Bundle, folder: Path, *, quantization: str) -> str:
        """Writes all files of the format into the folder `folder`, which exists and is empty.

        Args:
            transformer: the bundle's model: standalone, so that its largest architecture is what is written.
            bundle: the bundle, for its SentencePiece model, its languages and its decoding defaults.
            folder: where to write; it is renamed afterwards, so that nothing written may hold its name.
            quantization: one of the format's.

        Returns:
            How to load the result, one line; `{folder}` stands for its folder.

        Raises:
            AutoMoEError: the format cannot hold this model; names the layers and why.
        """


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format that was found."""

    name: str
    quantizations: tuple[str, ...]
    """What the weights can be stored as, the default first."""
    write: Write


def find_format(name: str, key: str = "format") -> Format:
    """Finds a format by name; imports it and nothing of the others.

    Args:
        name: its name.
        key: where the user gave it, for the message.

    Raises:
        ConfigError: there is no format of this name.
        DependencyError: the package that it needs is not installed.
    """
    modules = {entry.name: entry.module for entry in entry_points(group=ENTRY_POINTS)} | _OURS
    if name not in modules:
        raise ConfigError(
            key, name, "there is no such format", allowed=", ".join(modules), hint=did_you_mean(name, modules)
        )
    try:
        module = importlib.import_module(modules[name])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("automoe") or name not in _OURS:
            raise
        raise DependencyError(error.name, extra="torch" if name == "fairseq" else name) from error
    return Format(name=name, quantizations=module.QUANTIZATIONS, write=module.write)


def convert(
    transformer: Transformer, bundle: Bundle, folder: Path, form: Format, quantization: str | None = None
) -> str:
    """Writes a bundle in another format into the new folder `folder`, which appears once it is complete.

    Args:
        transformer: the bundle's model.
        bundle: the bundle.
        folder: where the result shall be; an empty folder may stand there.
        form: the format.
        quantization: one of the format's; by default its first.

    Returns:
        How to load the result, one line.

    Raises:
        ConfigError: the format has no such quantization, or `folder` holds something.
        BundleError: the bundle's SentencePiece model is not that of its vocabulary.
        AutoMoEError: the format cannot hold this model.
    """
    quantization = form.quantizations[0] if quantization is None else quantization
    if quantization not in form.quantizations:
        raise ConfigError(
            "quantization", quantization, f"{form.name} does not know it", allowed=", ".join(form.quantizations)
        )
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError("output", str(folder), "is there already", hint="Give a new folder, or move this one away")
    _check_vocabulary(transformer, bundle)
    folder = folder.absolute()  # "." has no name to write aside
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=PARTIAL, dir=folder.parent))
    aside.chmod(0o777 & ~_umask())  # as any other new folder, not for its owner alone
    try:
        usage = form.write(transformer, bundle, aside, quantization=quantization)
        finish_folder(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return usage.replace("{folder}", str(folder))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _check_vocabulary(transformer: Transformer, bundle: Bundle) -> None:
    path = bundle.path(SEGMENTER_FILE)
    found = Segmenter.from_file(path, bundle.manifest.placeholder_pattern).vocab_size
    if found != (wanted := transformer.config.vocab_size):
        raise BundleError(f"has {found} pieces and the model {wanted} words", file=path, hint=EXPORT_AGAIN)
