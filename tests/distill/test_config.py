import pytest

from automoe.distill import DistillConfig
from automoe.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("share", 1.1),
        ("share", -0.1),
        ("share", float("nan")),
        ("temperature", 0.0),
        ("temperature", float("inf")),
        ("initial", "inherit"),
    ],
)
def test_impossible_values_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=rf"distill\.{key}="):
        DistillConfig(**{key: value})
