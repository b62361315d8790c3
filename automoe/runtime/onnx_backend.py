"""The backend `onnx`: runs a bundle's graphs with ONNX Runtime on the CPU. It needs no PyTorch."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from automoe.bundle import (
    EXPORT_AGAIN,
    GRAPHS,
    MANIFEST_FILE,
    PRECISIONS,
    SEAL,
    SHORTLIST_FILE,
    Bundle,
    check_tensors,
    graph_file,
    graph_seal,
    read_layout,
    read_tensors,
    tensor_shapes,
    weights_file,
)
from automoe.decoding.shortlist import Shortlist
from automoe.decoding.stepper import Stepper
from automoe.errors import BundleError, ConfigError
from automoe.runtime.backend import only_on_cpu
from automoe.runtime.onnx_stepper import OnnxStepper
from automoe.runtime.output_table import OutputTable


def open_stepper(
    bundle: Bundle,
    *,
    threads: int = 1,
    precision: str = PRECISIONS[0],
    shortlist: bool = False,
    device: str = "cpu",
) -> Stepper:
    """Opens the bundle's graphs.

    Args:
        bundle: the bundle.
        threads: threads within an operation.
        precision: one of `automoe.bundle.PRECISIONS`.
        shortlist: whether to score only tokens that the source's tokens can become; the bundle must hold a list.
        device: "cpu".

    Raises:
        ConfigError: another device, the precision is unknown, or the bundle has no shortlist.
        BundleError: the bundle holds no graphs, or weights that are not its model's.
    """
    if device != "cpu":
        raise only_on_cpu("onnx", device)
    if precision not in PRECISIONS:
        raise ConfigError("precision", precision, allowed=", ".join(PRECISIONS))
    manifest = bundle.manifest
    held = [name for name in PRECISIONS if any(graph_file(graph, name) in manifest.files for graph in GRAPHS)]
    if held and precision not in held:
        hint = f"Export it with export.precisions=[{','.join(PRECISIONS)}]"
        raise ConfigError("precision", precision, "the bundle does not hold it", allowed=", ".join(held), hint=hint)
    path = _path(bundle, weights_file(precision))
    tensors = read_tensors(path)
    try:
        check_tensors(tensors, tensor_shapes(manifest.architecture, manifest.model), path)
    except (KeyError, TypeError) as error:
        raise BundleError(
            f"describes no model that this AutoMoE can run ({error!s})",
            file=bundle.folder / MANIFEST_FILE,
            hint=f"Use AutoMoE {manifest.automoe_version}, which wrote it",
        ) from error
    table = None
    if shortlist:
        table = OutputTable(tensors, manifest.architecture["decoder"]["dim"], _read_shortlist(bundle))
    layout = read_layout(path)
    encoder, decoder = (
        _session(
            _path(bundle, graph_file(graph, precision)),
            threads,
            graph_seal(graph, layout, manifest.architecture, manifest.model),
        )
        for graph in ("encoder", "decoder_shortlist" if shortlist else "decoder")
    )
    return OnnxStepper(encoder, decoder, vocab_size=manifest.model["vocab_size"], output_table=table)


def _path(bundle: Bundle, name: str) -> Path:
    if name not in bundle.manifest.files:
        raise BundleError(
            f"the bundle has no file {name!r}, so ONNX Runtime cannot run it so",
            file=bundle.folder / MANIFEST_FILE,
            key="files",
            allowed=", ".join(bundle.manifest.files),
            hint="Export it again with this AutoMoE, or use the backend torch",
        )
    return bundle.path(name)


def _read_shortlist(bundle: Bundle) -> Shortlist:
    if SHORTLIST_FILE not in bundle.manifest.files:
        raise ConfigError(
            "shortlist",
            True,
            f"the bundle has no {SHORTLIST_FILE}",
            hint="Translate without a shortlist, or export the bundle with export.shortlist.build=true",
        )
    path = bundle.path(SHORTLIST_FILE)
    return Shortlist.from_bytes(path.read_bytes(), file=path, vocab_size=bundle.manifest.model["vocab_size"])


def _session(path: Path, threads: int, seal: str) -> onnxruntime.InferenceSession:
    """A session that keeps no plans of shapes and does not spin while it waits.

    The graph says which model it is of and where in their file its weights lie: `seal` is what it has to say.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The graphs are fused as they are written: what is left is to fold constants.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Every length and number of rows is a shape of its own: plans would be made for each and kept for ever.
    # The arena is kept: without it batches take up to a quarter longer, as memory comes and goes page by page.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # its errors are raised too
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common class of their own
        raise BundleError(
            f"cannot be opened by ONNX Runtime {onnxruntime.__version__} ({error})",
            file=path,
            hint="Export the bundle again, or install the version of ONNX Runtime that constraints.txt names",
        ) from error
    if session.get_modelmeta().custom_metadata_map.get(SEAL) != seal:
        raise BundleError(
            "was made for another model, or for weights that lie elsewhere", file=path, hint=EXPORT_AGAIN
        )
    return session
