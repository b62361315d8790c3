"""What a weight looks like in a graph: `Float32`, or `Int8` with activations quantised while it runs.

Shape suffixes: T tokens, I input dim, O output dim, V vocabulary, D model dim.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from automoe.bundle import INT8_WEIGHTS_FILE, JOINT, SCALE, WEIGHTS_FILE
from automoe.export.graphs.builder import GraphBuilder
from automoe.export.weight_file import Array, WeightFile

EMBEDDING = "embedding"
LARGEST = 64
"""Largest int8 weight. Processors without VNNI add two products of 8 bits in 16: 2 * 255 * 64 is the most that fits,
so that every processor computes the same."""


class Precision(ABC):
    """How matrix products are written, and which file holds their weights."""

    name: str
    """As users say it."""

    @abstractmethod
    def linear(
        self, g: GraphBuilder, x_TI: str, weights: Sequence[str], biases: Sequence[str], *, relu: bool = False
    ) -> str:
        """x times the transposed weights [O, I] plus the biases [O]; several side by side give one wide `y_TO`."""

    @abstractmethod
    def embed(self, g: GraphBuilder, token_T: str) -> str:
        """Rows of the embedding table, `x_TD` in float32 and in its full width."""

    @abstractmethod
    def output(self, g: GraphBuilder, x_TD: str, dim: int, table_dim: int) -> str:
        """`logits_TV`: x times the first `dim` of the `table_dim` columns of the embedding table."""

    @abstractmethod
    def shortlist_output(self, g: GraphBuilder, x_TD: str, dim: int) -> str:
        """The same for the rows of the table that the caller of the graph hands in."""

    @abstractmethod
    def weight_file(self, state: Mapping[str, Array], used: Sequence[str]) -> WeightFile:
        """The file that graphs of this precision refer to.

        Args:
            state: the model's tensors by name, in the order of the file of the float32 weights.
            used: the names that the graphs asked for.
        """


class Float32(Precision):
    """Weights as they were trained, [O, I], in the file that PyTorch reads."""

    name = "float32"

    def linear(
        self, g: GraphBuilder, x_TI: str, weights: Sequence[str], biases: Sequence[str], *, relu: bool = False
    ) -> str:
        """See `Precision.linear`."""
        inputs = (x_TI, g.weight(JOINT.join(weights)), g.weight(JOINT.join(biases)))
        return (
            g.node("FusedGemm", *inputs, transB=1, activation="Relu") if relu else g.node("Gemm", *inputs, transB=1)
        )

    def embed(self, g: GraphBuilder, token_T: str) -> str:
        """See `Precision.embed`."""
        return g.node("Gather", g.weight(EMBEDDING), token_T)

    def output(self, g: GraphBuilder, x_TD: str, dim: int, table_dim: int) -> str:
        """See `Precision.output`."""
        return g.node("Gemm", x_TD, columns(g, g.weight(EMBEDDING), dim, table_dim), transB=1)

    def shortlist_output(self, g: GraphBuilder, x_TD: str, dim: int) -> str:
        """See `Precision.shortlist_output`; the rows are `output_VD`."""
        return g.node("Gemm", x_TD, g.input("output_VD", np.float32, ("candidates", dim)), transB=1)

    def weight_file(self, state: Mapping[str, Array], used: Sequence[str]) -> WeightFile:
        """All tensors of the model."""
        return WeightFile(WEIGHTS_FILE, state)


class Int8(Precision):
    """Weights in 8 bits with a scale for each output, symmetric; activations in 8 bits with one scale at a time.

    Norms, biases and routers stay in float32.
    """

    name = "int8"

    def linear(
        self, g: GraphBuilder, x_TI: str, weights: Sequence[str], biases: Sequence[str], *, relu: bool = False
    ) -> str:
        """See `Precision.linear`."""
        name = JOINT.join(weights)
        scale_O, bias_O = g.weight(name + SCALE), g.weight(JOINT.join(biases))
        y_TO = g.node("DynamicQuantizeMatMul", x_TI, g.weight(name), scale_O, "", bias_O)
        return g.node("Relu", y_TO) if relu else y_TO

    def embed(self, g: GraphBuilder, token_T: str) -> str:
        """See `Precision.embed`."""
        x_TD = g.node("Cast", g.node("Gather", g.weight(EMBEDDING), token_T), to=TensorProto.FLOAT)
        scale_T = g.node("Gather", g.weight(EMBEDDING + SCALE), token_T)
        return g.node("Mul", x_TD, g.node("Unsqueeze", scale_T, g.constant([-1])))

    def output(self, g: GraphBuilder, x_TD: str, dim: int, table_dim: int) -> str:
        """See `Precision.output`. ONNX Runtime transposes the table once, when it loads the graph."""
        weight_DV = g.node("Transpose", columns(g, g.weight(EMBEDDING), dim, table_dim), perm=[1, 0])
        return g.node("DynamicQuantizeMatMul", x_TD, weight_DV, g.weight(EMBEDDING + SCALE))

    def shortlist_output(self, g: GraphBuilder, x_TD: str, dim: int) -> str:
        """See `Precision.shortlist_output`; the rows are `output_DV`, transposed, their scales `output_scale_V`."""
        weight_DV = g.input("output_DV", np.int8, (dim, "candidates"))
        return g.node(
            "DynamicQuantizeMatMul", x_TD, weight_DV, g.input("output_scale_V", np.float32, ("candidates",))
        )

    def weight_file(self, state: Mapping[str, Array], used: Sequence[str]) -> WeightFile:
        """What the graphs use: 8-bit weights as [I, O], the embedding table as [V, D], and the rest as it is."""
        scaled = {name.removesuffix(SCALE) for name in used if name.endswith(SCALE)}
        tensors: dict[str, Array] = {}
        for name in sorted(used):
            if name.endswith(SCALE):
                continue  # comes with its weights
            weight_OI = np.concatenate([state[part] for part in name.split(JOINT)])
            if name not in scaled:
                tensors[name] = weight_OI
                continue
            quantised_OI, scale_O = quantise(weight_OI)
            tensors[name] = quantised_OI if name == EMBEDDING else quantised_OI.T
            tensors[name + SCALE] = scale_O
        in_order = sorted(tensors, key=lambda name: -tensors[name].itemsize)  # so that all lie at multiples of it
        return WeightFile(INT8_WEIGHTS_FILE, {name: tensors[name] for name in in_order})


def columns(g: GraphBuilder, table_VD: str, dim: int, table_dim: int) -> str:
    """The first `dim` of the `table_dim` columns."""
    if dim == table_dim:
        return table_VD
    return g.node("Slice", table_VD, g.constant([0]), g.constant([dim]), g.constant([1]))


def quantise(weight_OI: Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights in 8 bits: `weight = quantised * scale`, to half a scale.

    Returns:
        `quantised_OI` from -`LARGEST` to `LARGEST`, `scale_O`.
    """
    weight_OI = weight_OI.astype(np.float32)
    least = np.finfo(np.float32).tiny * LARGEST  # a row of zeros needs a scale too
    scale_O = np.maximum(np.abs(weight_OI).max(axis=1), least) / np.float32(LARGEST)
    return np.rint(weight_OI / scale_O[:, None]).astype(np.int8), scale_O
