"""The bundle: a translation model as a folder, whole or refused."""

from automoe.bundle.folder import (
    CARD_FILE,
    REQUIRED_FILES,
    SEGMENTER_FILE,
    WEIGHTS_FILE,
    Bundle,
    read_bundle,
    write_bundle,
)
from automoe.bundle.manifest import FORMAT_VERSION, MANIFEST_FILE, BundleManifest, FileEntry

__all__ = [
    "CARD_FILE",
    "FORMAT_VERSION",
    "MANIFEST_FILE",
    "REQUIRED_FILES",
    "SEGMENTER_FILE",
    "WEIGHTS_FILE",
    "Bundle",
    "BundleManifest",
    "FileEntry",
    "read_bundle",
    "write_bundle",
]
