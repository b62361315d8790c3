"""`BundleManifest`: what `bundle.json` says, and its form on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from automoe.errors import BundleError, ConfigError
from automoe.files import is_sealed, sealed_json
from automoe.version import __version__

FORMAT = "automoe-bundle"
FORMAT_VERSION = 1
"""Raised by one when an older AutoMoE can no longer read what a newer one writes."""
MANIFEST_FILE = "bundle.json"

EXPORT_AGAIN = "Export the bundle again"
"""What to do about a bundle that was made wrong."""
COPY_AGAIN = "Copy the bundle again from where it came, or export it again"
"""What to do about a damaged bundle."""


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """What a file of the bundle has to be."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class BundleManifest:
    """What a bundle holds and how to use it. All fields are JSON values."""

    architecture: Mapping[str, Any]
    """`Architecture.to_dict()`."""
    model: Mapping[str, Any]
    """`TransformerConfig.to_dict()`."""
    source_language: str
    target_language: str
    placeholder_pattern: str | None
    """Regular expression of what is hidden from the model and put back; None hides nothing."""
    max_source_tokens: int
    """Longer sources are cut; the end symbol counts."""
    decoding: Mapping[str, Any]
    """`SearchConfig.to_dict()`: the defaults of translation."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """For people: scores, signatures, corpus, costs."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    """Every other file of the bundle by name; `write_bundle` fills it in."""
    automoe_version: str = __version__
    """The version that wrote the bundle."""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.max_source_tokens < 2:
            raise ConfigError(
                "max_source_tokens", self.max_source_tokens, allowed=">= 2 (a token and the end symbol)"
            )

    def with_files(self, entries: Mapping[str, FileEntry]) -> BundleManifest:
        """The same manifest for the given files."""
        return replace(self, files=dict(entries))


def dump_manifest(manifest: BundleManifest) -> str:
    """The text of `bundle.json`: indented JSON that ends with a checksum of all the rest."""
    return sealed_json({"format": FORMAT, "format_version": manifest.format_version, **asdict(manifest)})


def parse_manifest(content: bytes, file: Path) -> BundleManifest:
    """Reads the text of `bundle.json`.

    Args:
        content: its bytes.
        file: where it comes from, for errors.

    Raises:
        BundleError: it is cut off, damaged, of something else, or of a newer format.
    """
    try:
        form = json.loads(content.decode())
    except ValueError as error:  # JSON and UTF-8 errors alike
        raise BundleError(f"is damaged or cut off ({error})", file=file, hint=COPY_AGAIN) from error
    if not isinstance(form, dict) or form.get("format") != FORMAT:
        raise BundleError(f'does not say "format": "{FORMAT}", so this is no bundle', file=file, hint=COPY_AGAIN)
    version = form.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        maker = form.get("automoe_version")
        raise BundleError(
            f"was written by AutoMoE {maker}; this is AutoMoE {__version__}",
            file=file,
            key="format_version",
            value=version,
            allowed=f"up to {FORMAT_VERSION}",
            hint=f"Install AutoMoE {maker} or newer",
        )
    if not is_sealed(content.decode()):
        raise BundleError("was changed after it was written", file=file, hint=COPY_AGAIN)
    return _from_form(form, file)


def _from_form(form: dict[str, Any], file: Path) -> BundleManifest:
    del form["format"], form["checksum"]
    known = {entry.name for entry in fields(BundleManifest)}
    if wrong := sorted(known ^ form.keys()):
        raise BundleError("is missing or unknown", file=file, key=wrong[0], allowed=", ".join(sorted(known)))
    entries = {name: FileEntry(**entry) for name, entry in form.pop("files").items()}
    for name in entries:
        check_file_name(name, file)
    return BundleManifest(**form, files=entries)


def check_file_name(name: str, file: Path) -> None:
    """Checks that a bundle's file lies in the bundle's folder itself.

    Raises:
        BundleError: the name leads elsewhere, or is that of the manifest.
    """
    if name != Path(name).name or name == MANIFEST_FILE:
        raise BundleError("is not the plain name of a file", file=file, key="files", value=name)
