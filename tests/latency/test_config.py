import pytest

from automoe.errors import ConfigError
from automoe.latency import ProfileConfig


@pytest.mark.parametrize(
    "key, value",
    [
        *[("architectures", 1), ("sentences", 0), ("repeats", 0), ("threads", 0), ("batch", 0), ("max_repeats", 4)],
        *[("doubts", -0.1), ("doubts", 1.0), ("tolerance", -0.1), ("tolerance", 1.0)],
        *[("routing", "evne"), ("device", "gpu"), ("lengths", (5, 1)), ("lengths", ())],
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_key(key, value):
    with pytest.raises(ConfigError) as refused:
        ProfileConfig(**{key: value})
    assert refused.value.key == f"profile.{key}"


def test_a_name_that_is_nearly_right_is_named():
    with pytest.raises(ConfigError, match=r"profile\.routing=evne: .*trained, even\). Did you mean 'even'\?"):
        ProfileConfig(routing="evne")


@pytest.mark.parametrize("batch, fix", [(3, 9), (4, 8), (32, 32)])
def test_batches_that_are_not_full_are_refused_with_the_number_of_sentences_that_fills_them(batch, fix):
    with pytest.raises(ConfigError, match=rf"profile.batch={batch}: .* Set profile.sentences={fix} for it"):
        ProfileConfig(batch=batch)
    assert ProfileConfig(batch=batch, sentences=fix).batch == batch


def test_lengths_that_would_not_weigh_alike_are_refused():
    with pytest.raises(ConfigError, match=r"profile\.sentences=10: is no multiple of the 3 profile.lengths"):
        ProfileConfig(lengths=(5, 10, 30))
    assert ProfileConfig(lengths=(5, 10)).sentences == 10


def test_a_device_is_named_by_its_kind_and_on_the_cpu_by_its_threads():
    assert ProfileConfig().device_name == "cpu-1t"
    assert ProfileConfig(threads=2).device_name == "cpu-2t"
    assert ProfileConfig(device="cuda", threads=2).device_name == "cuda"
