"""The backend `torch`: devices and precisions that ONNX Runtime has not."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sentencepiece")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.bundle import PRECISIONS  # noqa: E402
from automoe.decoding import EOS  # noqa: E402
from automoe.errors import ConfigError  # noqa: E402
from automoe.runtime import backend as backends  # noqa: E402
from automoe.runtime import torch_backend  # noqa: E402
from automoe.runtime.backend import CAST_PRECISIONS, find_backend  # noqa: E402
from tests.runtime.tiny_bundle import make_bundle  # noqa: E402
from tests.runtime.walks import table  # noqa: E402


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("torch") / "bundle").bundle


def first_scores(bundle, **use):
    """Log probabilities of all first tokens of a sentence, and the types of the numbers that the model holds."""
    vocab_size = bundle.manifest.model["vocab_size"]
    stepper = find_backend("torch")(bundle, **use)
    stepper.start([np.array([5, 6, 7, EOS])], vocab_size)
    return table(*stepper.step(np.array([EOS]), np.array([0])))


def test_in_bfloat16_the_scores_of_a_bundle_are_close_and_not_the_same(bundle):
    exact, rounded = (first_scores(bundle, precision=precision) for precision in ("float32", "bfloat16"))
    assert 0 < np.abs(exact - rounded).max() < 0.1


def test_the_precisions_of_the_backend_are_those_that_it_casts_to_and_the_first_of_the_bundle():
    assert (PRECISIONS[0], *CAST_PRECISIONS["torch"]) == tuple(torch_backend.DTYPES)
    assert not set(CAST_PRECISIONS["torch"]) & set(PRECISIONS)


def test_a_precision_that_is_none_is_refused_with_those_that_are(bundle):
    with pytest.raises(ConfigError, match=r"precision=int8: .*allowed: float32, bfloat16"):
        find_backend("torch")(bundle, precision="int8")


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(bundle, monkeypatch, backend):
    open_stepper = find_backend(backend)
    monkeypatch.setattr(type(bundle), "path", lambda self, name: pytest.fail(f"{name} was read"))
    with pytest.raises(ConfigError, match=r"device=cuda:99: .*allowed: cpu") as error:
        open_stepper(bundle, device="cuda:99")
    assert error.value.key == "device"


def test_a_device_is_the_business_of_the_backend_that_is_asked():
    with pytest.raises(ConfigError, match="the backend onnx runs on the CPU alone"):
        backends.check_device("onnx", "cuda", "profile.device")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_a_bundle_scores_on_the_gpu_as_on_the_cpu(bundle, precision, tolerance):
    exact, found = first_scores(bundle), first_scores(bundle, precision=precision, device="cuda")
    np.testing.assert_allclose(found, exact, rtol=0, atol=tolerance)
