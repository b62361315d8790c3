"""A bundle on disk: a folder that holds all that translation needs, each file with its checksum.

my-bundle/
  bundle.json         what it is: architecture, languages, decoding defaults, checksums
  model.safetensors   the weights, nothing but the model's own
  segmenter.model     the SentencePiece model
  README.md           the model card

and, for ONNX Runtime, a graph for each part of the model and each precision; graphs refer to weights in their file:

  {encoder,decoder,decoder_shortlist}.float32.onnx   their weights are those of model.safetensors
  {encoder,decoder,decoder_shortlist}.int8.onnx
  model.int8.safetensors
  shortlist.bin       which tokens a source's tokens can become; optional
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automoe.bundle.manifest import (
    COPY_AGAIN,
    MANIFEST_FILE,
    BundleManifest,
    FileEntry,
    check_file_name,
    dump_manifest,
    parse_manifest,
)
from automoe.errors import BundleError
from automoe.files import PARTIAL, digest_of, finish_folder, sha256_of

WEIGHTS_FILE = "model.safetensors"
SEGMENTER_FILE = "segmenter.model"
CARD_FILE = "README.md"
INT8_WEIGHTS_FILE = "model.int8.safetensors"
SHORTLIST_FILE = "shortlist.bin"
SEAL = "automoe_seal"
"""Key in a graph's metadata; see `graph_seal`."""
GRAPHS = ("encoder", "decoder", "decoder_shortlist")
PRECISIONS = ("float32", "int8")
"""Of weights and products; the first is the default."""
REQUIRED_FILES = (WEIGHTS_FILE, SEGMENTER_FILE, CARD_FILE)
"""Every bundle has these; further ones (other precisions, other runtimes) are listed in its manifest."""


def graph_file(graph: str, precision: str) -> str:
    """Name of the file of one of `GRAPHS` in one of `PRECISIONS`."""
    return f"{graph}.{precision}.onnx"


def graph_seal(graph: str, layout: str, architecture: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """What a graph's metadata say under `SEAL`: a digest of all that it was made for.

    Args:
        graph: one of `GRAPHS`.
        layout: `tensor_layout` of the file that its weights lie in.
        architecture: `BundleManifest.architecture`.
        model: `BundleManifest.model`.
    """
    return digest_of([graph, layout, architecture, model])


def weights_file(precision: str) -> str:
    """Name of the file that holds the weights of the graphs of a precision."""
    return INT8_WEIGHTS_FILE if precision == "int8" else WEIGHTS_FILE


_KNOWN_FILES = frozenset(
    {
        *REQUIRED_FILES,
        *(graph_file(graph, precision) for graph in GRAPHS for precision in PRECISIONS),
        INT8_WEIGHTS_FILE,
        SHORTLIST_FILE,
        MANIFEST_FILE,
    }
)
"""What a bundle that is replaced may hold, whether or not the new one has it too."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle whose files were found whole."""

    folder: Path
    manifest: BundleManifest

    def path(self, name: str) -> Path:
        """Path of the file `name`.

        Raises:
            BundleError: the bundle has no such file.
        """
        if name not in self.manifest.files:
            raise BundleError(
                f"the bundle has no file {name!r}",
                file=self.folder / MANIFEST_FILE,
                key="files",
                allowed=", ".join(self.manifest.files),
            )
        return self.folder / name


def write_bundle(folder: Path, manifest: BundleManifest, files: Mapping[str, bytes | Path]) -> Bundle:
    """Writes a bundle to the side (`NAME.partial`) and renames it.

    Args:
        folder: where it shall be. A bundle that stands there is replaced, and so is one that a killed process
            left aside; a folder that holds anything else is left alone.
        manifest: what the bundle is; its `files` are filled in here.
        files: content of each file, or the file to copy; all of `REQUIRED_FILES` among them.

    Returns:
        The bundle, with its complete manifest.

    Raises:
        BundleError: `folder`, or the one aside, is a file or holds files that are not of a bundle.
        ValueError: a required file is missing.
    """
    if absent := [name for name in REQUIRED_FILES if name not in files]:
        raise ValueError(f"a bundle needs the file(s) {', '.join(absent)}")
    for name in files:
        check_file_name(name, folder)
    folder = folder.absolute()  # "." has no name to write aside
    aside = folder.with_name(folder.name + PARTIAL)
    for place in (folder, aside):
        _check_replaceable(place, {*files, *_KNOWN_FILES})
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    entries: dict[str, FileEntry] = {}
    for name, content in files.items():
        path = aside / name
        if isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes(content)
        entries[name] = FileEntry(sha256=sha256_of(path), bytes=path.stat().st_size)
    manifest = manifest.with_files(entries)
    (aside / MANIFEST_FILE).write_text(dump_manifest(manifest), encoding="utf-8")
    finish_folder(aside, folder)
    return Bundle(folder=folder, manifest=manifest)


def read_bundle(folder: str | Path) -> Bundle:
    """Reads a bundle's manifest and checks that every file is there and whole.

    Raises:
        BundleError: no bundle, one of a newer format, or a damaged one; names the file and what to do.
    """
    folder = Path(folder)
    if not folder.exists():
        raise BundleError("there is no such folder", file=folder, hint="Give the folder that holds bundle.json")
    if not folder.is_dir():
        raise BundleError("is a file; a bundle is a folder", file=folder, hint=f"Give the folder of {MANIFEST_FILE}")
    manifest_file = folder / MANIFEST_FILE
    if not manifest_file.is_file():
        problem = (
            "is not complete" if folder.name.endswith(PARTIAL) else f"holds no {MANIFEST_FILE}, so it is no bundle"
        )
        raise BundleError(problem, file=folder, hint="`automoe export` writes bundles")
    manifest = parse_manifest(manifest_file.read_bytes(), manifest_file)
    for name in REQUIRED_FILES:
        if name not in manifest.files:
            raise BundleError(f"does not list {name}", file=manifest_file, key="files", hint=COPY_AGAIN)
    for name, entry in manifest.files.items():
        _check_file(folder / name, entry)
    return Bundle(folder=folder, manifest=manifest)


def _check_file(path: Path, entry: FileEntry) -> None:
    if not path.is_file():
        raise BundleError("is missing", file=path, hint=COPY_AGAIN)
    if (size := path.stat().st_size) != entry.bytes:
        raise BundleError(f"has {size} bytes instead of {entry.bytes}", file=path, hint=COPY_AGAIN)
    if (actual := sha256_of(path)) != entry.sha256:
        raise BundleError(
            f"is damaged: its SHA-256 is {actual[:12]}... instead of {entry.sha256[:12]}...",
            file=path,
            hint=COPY_AGAIN,
        )


def _check_replaceable(folder: Path, names: set[str]) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BundleError("is a file where the bundle's folder shall be", file=folder)
    found = {path.name for path in folder.iterdir()}
    if found and MANIFEST_FILE not in found and not folder.name.endswith(PARTIAL):  # one aside may be half-written
        names = set()
    if foreign := sorted(found - names):
        raise BundleError(
            f"holds files that are no part of a bundle, {foreign[0]!r} for one; it is left alone",
            file=folder,
            hint="Move it away, or give another folder",
        )
