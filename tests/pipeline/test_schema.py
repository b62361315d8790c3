"""The schema mirrors the dataclasses, and what is built from it is what was meant."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import ConfigError
from automoe.pipeline.config import RunConfig
from automoe.pipeline.manifest import plain
from automoe.pipeline.schema import build, keys_of, schema_of
from automoe.resources import resource_folder
from automoe.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    names: tuple[str, ...] = ()
    place: Path = Path("here")
    kind: Literal["one", "two"] = "one"
    maybe: int | None = None

    def __post_init__(self):
        if self.rate < 0:
            raise ConfigError("rate", self.rate, allowed=">= 0")


@dataclass(frozen=True, kw_only=True)
class Outer:
    needed: int
    inner: Inner = field(default_factory=Inner)


INNERS = st.builds(
    Inner,
    rate=st.floats(0, 1),
    names=st.lists(st.text()).map(tuple),
    place=st.sampled_from([Path("a"), Path("/b/c")]),
    kind=st.sampled_from(["one", "two"]),
    maybe=st.none() | st.integers(),
)


@given(st.builds(Outer, needed=st.integers(), inner=INNERS))
def test_plain_values_build_the_configuration_they_came_from(config):
    assert build(Outer, plain(config)) == config


def test_the_schema_of_hydra_has_the_same_keys_and_defaults():
    omegaconf = pytest.importorskip("omegaconf")
    schema = omegaconf.OmegaConf.structured(schema_of(RunConfig))
    assert build(RunConfig, omegaconf.OmegaConf.to_container(schema)) == RunConfig()
    schema.training.lr = 1  # it can be written, unlike the frozen dataclass, and knows its types
    assert schema.training.lr == 1.0
    with pytest.raises(omegaconf.errors.ValidationError):
        schema.training.lr = "fast"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"needed": 1, "iner": {}}, "iner: unknown key. Did you mean 'inner'"),
        ({"needed": 1, "inner": {"rat": 1}}, "inner.rat: unknown key. Did you mean 'inner.rate'"),
        ({"needed": "???"}, "needed: must be given. Add needed=VALUE"),
        ({"needed": 1, "inner": {"rate": -1.0}}, r"inner.rate=-1.0: is not allowed \(allowed: >= 0\)"),
        ({"needed": 1, "inner": {"kind": "tow"}}, r"inner.kind=tow: .*one, two.*Did you mean 'two'"),
    ],
)
def test_a_wrong_value_is_named_by_its_whole_path(values, message):
    with pytest.raises(ConfigError, match=message):
        build(Outer, values)


def test_keys_are_dotted_paths():
    assert keys_of(Outer) == ["needed", "inner", *("inner." + f.name for f in dataclasses.fields(Inner))]


def test_a_tuple_of_fixed_length_is_a_defect_of_the_dataclass():
    kind = dataclasses.make_dataclass("Pair", [("pair", tuple[int, int], (1, 2))])
    with pytest.raises(TypeError, match="any length"):
        schema_of(kind)


CONF = resource_folder("conf")
YAML = sorted(CONF.rglob("*.yaml"))


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.relative_to(CONF).as_posix())
def test_every_key_of_a_shipped_file_has_a_comment(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if "template: |" in line:
            break
        is_section = line.rstrip().endswith(":")
        assert not line.strip() or is_section or "#" in line, f"{path}:{number}: {line}"


@pytest.mark.parametrize("group", ["data", "model", "supernet", "training", "teacher", "distill", "decoding"])
def test_shipped_groups_hold_known_keys_only(group):
    hints = {f.name: f.default_factory for f in dataclasses.fields(RunConfig)}
    files = sorted((CONF / group).glob("*.yaml"))
    assert files
    for path in files:
        values = {key: value for key, value in yaml.safe_load(path.read_text()).items() if key != "defaults"}
        build(hints[group], values)


def test_all_sections_of_trainings_show_all_their_keys():
    known = {field.name for field in dataclasses.fields(TrainingConfig)}
    assert set(yaml.safe_load((CONF / "training/quickstart.yaml").read_text())) == known
    for path in ("teacher/largest.yaml", "distill/word.yaml", "scratch/panel.yaml"):
        assert set(yaml.safe_load((CONF / path).read_text())["training"]) == known, path


@dataclass(frozen=True, kw_only=True)
class Keys:
    plain: int = 1
    never: int = field(default=1, metadata={"hashed": False})
    newer: float = field(default=0.0, metadata={"hashed": "unless default"})


@given(st.integers(), st.integers(), st.sampled_from([0.0, 0.5]))
def test_a_newer_key_is_hashed_only_where_it_is_not_its_default(value, never, newer):
    kept = {} if newer == 0.0 else {"newer": newer}
    assert plain(Keys(plain=value, never=never, newer=newer)) == {"plain": value} | kept
