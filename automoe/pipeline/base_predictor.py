"""`predictor.base`: what learnt another device, from which a new one is learnt in few rows."""

from __future__ import annotations

from pathlib import Path

from automoe.errors import ConfigError
from automoe.files import sha256_of
from automoe.pipeline.learnable import Learnable
from automoe.pipeline.predictor_file import find_predictor, read_fitted
from automoe.predictor import CalibratedPredictor, PredictorConfig, make_predictor, predictor_from_dict
from automoe.predictor.automatic import AUTO, TRANSFER
from automoe.predictor.features import BASE
from automoe.predictor.regressor import find_regressor

_KEY = "predictor.base"
_WHAT = "Name a predictor.json, a run folder in which `automoe predictor` has finished, or a measured table"


def check_kind(config: PredictorConfig) -> None:
    """Checks, before anything runs, that the regressor is there, and has the base that it needs or none.

    Raises:
        ConfigError: it is not, has none, or has one that it does not look at.
    """
    make_predictor(config.kind)
    if config.kind == TRANSFER and config.base is None:
        raise ConfigError(
            "predictor.kind",
            config.kind,
            "learns a device from what is known of another, and none is given",
            hint="Set predictor.base to a predictor.json, a run folder or a table of the other device",
        )
    if config.base is not None and config.kind != AUTO and BASE not in find_regressor(config.kind).groups:
        raise ConfigError(
            _KEY,
            config.base,
            f"is of no use to the predictor {config.kind!r}, which does not look at another device",
            allowed="null",
            hint="Set predictor.kind=transfer or predictor.kind=auto",
        )


def base_fingerprint(config: PredictorConfig) -> dict[str, str]:
    """The content hash of the base, by name; nothing without one.

    Raises:
        DataError: it is not there.
    """
    return {} if config.base is None else {"base": sha256_of(_file_of(config.base))}


def read_base(config: PredictorConfig, seed: int) -> CalibratedPredictor | None:
    """The predictor of the other device; one that is learnt now, of kind "auto", where a table is named.

    Args:
        config: names it, and says how a table is learnt.
        seed: of the cross-validation.

    Raises:
        DataError: it is not there, damaged, or of another version.
    """
    if config.base is None:
        return None
    path = _file_of(config.base)
    if path.suffix == ".json":
        return read_fitted(path, predictor_from_dict, _KEY)
    table = Learnable.read(path)
    predictor = make_predictor(AUTO, config.coverage, folds=config.folds, seed=seed)
    predictor.fit(table.described, table.latency_ms_N)
    return predictor


def _file_of(base: str) -> Path:
    """The file that is meant."""
    return find_predictor(Path(base), _KEY, _WHAT)
