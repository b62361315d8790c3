"""What a result was made from and by: its identity, which is hashed, and the circumstances, which are not."""

from __future__ import annotations

import dataclasses
import enum
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automoe.errors import RunError
from automoe.files import digest_of, write_json
from automoe.machine import describe_machine
from automoe.version import __version__

FORMAT = 1
"""Version of the run folder's layout and of the manifest; a reader refuses any other."""
MANIFEST = "manifest.json"
_PACKAGES = {
    "numpy": "numpy",
    "torch": "torch",
    "fairseq": "ve-fairseq",
    "onnxruntime": "onnxruntime",
    "sentencepiece": "sentencepiece",
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that decides what a stage makes; equal identities have equal hashes and equal results."""

    stage: str
    stage_version: int
    inputs: dict[str, str]
    """Hash of each stage that it reads."""
    config: Any
    """The part of the configuration that it sees, as plain JSON values."""
    external: dict[str, str]
    """Fingerprint of each input from outside the run folder."""
    seed: int | None
    """None if the stage does not depend on it."""

    @property
    def hash(self) -> str:
        """Name of the result's folder: 12 hexadecimal digits."""
        return digest_of(_numbers_alike(dataclasses.asdict(self)))


@dataclass(frozen=True, kw_only=True)
class Times:
    """When and how long; the only part of a manifest that differs between two makings of one result."""

    started: str
    """ISO 8601 with time zone, of the process that finished the result."""
    wall_seconds: float
    """Seconds of that process."""
    resumed: bool
    """True if an earlier process had begun the work, whose seconds are not counted."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The `manifest.json` of a finished result."""

    identity: Identity
    files: dict[str, int]
    """Size in bytes of each file of the result, this manifest excepted."""
    versions: dict[str, str]
    machine: dict[str, Any]
    times: Times

    def write(self, folder: Path) -> None:
        """Writes `manifest.json` into `folder`, atomically."""
        identity = dataclasses.asdict(self.identity)
        write_json(
            folder / MANIFEST,
            {
                "format": FORMAT,
                "hash": self.identity.hash,
                **identity,
                "versions": self.versions,
                "machine": self.machine,
                "files": self.files,
                "times": dataclasses.asdict(self.times),
            },
        )


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of the finished result in `folder` and compares the files with it.

    Raises:
        RunError: the manifest is missing, damaged or of another format, or a file it lists is missing or of
            another size. Nothing is changed.
    """
    path = folder / MANIFEST
    mend = f"Move the folder {folder} away and run the same command again: the stage is then made anew"
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError("is missing from a finished result", file=path, hint=mend) from None
    except ValueError as error:
        raise RunError(f"is damaged: {error}", file=path, hint=mend) from None
    check_format(content, path)
    try:
        identity = Identity(**{field.name: content[field.name] for field in dataclasses.fields(Identity)})
        manifest = Manifest(
            identity=identity,
            files=dict(content["files"]),
            versions=content["versions"],
            machine=content["machine"],
            times=Times(**content["times"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"is damaged: {type(error).__name__}: {error}", file=path, hint=mend) from None
    if not identity.hash == content.get("hash") == folder.name:
        raise RunError(f"does not belong to its folder: its content hashes to {identity.hash}", file=path, hint=mend)
    found = sizes_of(folder)
    for name, size in manifest.files.items():
        if found.get(name) != size:
            has = f"has {found[name]} bytes" if name in found else "is missing"
            raise RunError(f"{has}, but the manifest says {size} bytes", file=folder / name, hint=mend)
    return manifest


def finished_siblings(folder: Path, version: int) -> list[Path]:
    """The finished results of the same stage beside the result in `folder`, made by the stage as it is today.

    Args:
        folder: of a result, finished or not.
        version: the stage's.
    """
    siblings = []
    for path in sorted(folder.parent.iterdir()):
        if path.is_symlink() or path == folder or not (path / MANIFEST).is_file():
            continue
        try:
            found = read_manifest(path).identity.stage_version
        except RunError:  # whoever asks for that result is told
            continue
        if found == version:
            siblings.append(path)
    return siblings


def check_format(content: Any, path: Path) -> None:
    """Refuses a run folder that another version of AutoMoE wrote.

    Args:
        content: the parsed JSON file, which has the key `format`.
        path: that file.

    Raises:
        RunError: the format is not ours.
    """
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise RunError(
            f"is of run-folder format {found!r}; automoe {__version__} reads format {FORMAT} only",
            file=path,
            hint="Use another run folder (run=NAME), or the version of AutoMoE that wrote this one",
        )


def sizes_of(folder: Path) -> dict[str, int]:
    """Size in bytes of every file below `folder`, the manifest excepted, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def plain(value: Any) -> Any:
    """Turns a configuration (dataclasses, tuples, paths, enumerations) into plain JSON values.

    Fields with the metadata `hashed: False` are left out: they cannot change the result (the size of a batch), or
    what they name is in the fingerprint already (the path of a corpus). Those with `hashed: "unless default"` are
    left out while they have their default: results that were made before there was such a key keep their hash.

    Raises:
        TypeError: the value has no plain form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return {field.name: plain(item) for field, item in named if _counts(field, item)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a configuration cannot hold a {type(value).__name__}")


def _counts(field: dataclasses.Field[Any], value: Any) -> bool:
    hashed = field.metadata.get("hashed", True)
    return bool(value != field.default) if hashed == "unless default" else bool(hashed)


def versions() -> dict[str, str]:
    """Versions of AutoMoE, Python and those packages that results depend on, without importing them."""
    found = {"automoe": __version__, "python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Host, platform, processor, usable cores and GPUs of this machine; see `describe_machine`."""
    return {"host": platform.node(), "platform": platform.platform(), **describe_machine()}


def _numbers_alike(value: Any) -> Any:
    """Writes 1.0 as 1, so that `lr=1` and `lr=1.0` are one configuration; 0.5, true and "1" stay as they are."""
    if isinstance(value, dict):
        return {key: _numbers_alike(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers_alike(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
