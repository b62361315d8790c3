"""Finds and reads what the stage `predictor` left: for `predictor.base`, and for `automoe cost --predictor`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from automoe.errors import AutoMoEError, DataError
from automoe.pipeline.files import PREDICTOR_FILE

Fitted = TypeVar("Fitted")
_WITHIN = (PREDICTOR_FILE, f"current/{PREDICTOR_FILE}", f"predictor/current/{PREDICTOR_FILE}")


def find_predictor(path: Path, key: str, hint: str) -> Path:
    """The file that is meant.

    Args:
        path: the file itself, or a folder: of a run, whose predictor in use is meant, of the stage, or of a result.
        key: where the user named it, for messages.
        hint: what may be named there.

    Raises:
        DataError: there is no such file, or no predictor in the folder.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError("there is no such file or folder", file=path, key=key, hint=hint)
    found = next((path / name for name in _WITHIN if (path / name).is_file()), None)
    if found is None:
        problem = "holds no finished predictor, which `automoe predictor run=NAME` makes"
        raise DataError(problem, file=path, key=key, hint=hint)
    return found


def read_fitted(file: Path, read: Callable[[Mapping[str, Any]], Fitted], key: str) -> Fitted:
    """Reads what was fitted from its JSON file.

    Args:
        file: the file.
        read: makes it of its JSON form.
        key: where the user named it, for messages.

    Raises:
        DataError: the file is damaged, of another version, or holds something else.
    """
    hint = "Learn it again: automoe predictor run=NAME"
    try:
        form = json.loads(file.read_bytes())
        return read(form if isinstance(form, dict) else {})
    except AutoMoEError as error:
        raise DataError(**error.fields() | {"file": file, "hint": hint}) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"is damaged: {error}", file=file, key=key, hint=hint) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"is no predictor that this AutoMoE can read ({type(error).__name__}: {error})"
        raise DataError(problem, file=file, key=key, hint=hint) from error
