"""`Polynomial`: robust ridge regression on features, their squares and their products.

Twice the layers at twice the width cost four times as much: on clean rows of published tables, from a few hundred on,
hardly any other regressor here comes below its error.

Shape suffixes: N architectures, F features, P products of two features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from automoe.predictor.features import Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressors.linear_function import CEILING, FLOOR, LinearFunction
from automoe.predictor.robust_ridge import robust_ridge
from automoe.predictor.scaling import Scaling, weighted_sum

_OF_PRODUCTS = 0.05
"""What a product counts beside a feature, before anything is learnt: most say nothing, and there are many. From few
rows it decides: of 20 and 40 clean ones of HAT's table of IWSLT'14 on a Titan Xp errors were 3.7 and 2.5 % with this,
42 and 27 % with 1."""


@dataclass(frozen=True, kw_only=True)
class Polynomial(LinearFunction):
    """A polynomial of degree two of the standardised features.

    Errors are weighed relative to the value. No prediction is below half of the least value that was learnt from, or
    above twice the greatest: far outside a square is no guide.
    """

    products: tuple[float, ...]
    """What each product of two of them counts: 0 with 0, 0 with 1 ..., 1 with 1, 1 with 2 ..."""
    ceiling: float
    """The greatest prediction."""

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> Polynomial:
        """Learns the weights; products are standardised too, so that the penalty is fair to them."""
        scaling = Scaling.of(features)
        z_NF = scaling(features)
        count = z_NF.shape[1]
        x_NP = np.column_stack([z_NF, *_products(z_NF)]) if count else np.empty((len(z_NF), 0))
        centre_P, scale_P = x_NP.mean(axis=0), x_NP.std(axis=0)
        scale_P = np.where(scale_P > 1e-9, scale_P, np.inf)  # the square of a feature of two values is none
        scale_P[count:] /= _OF_PRODUCTS
        if count:
            fit = robust_ridge((x_NP - centre_P) / scale_P, values_N, (values_N.mean() / values_N) ** 2)
            weight_P, intercept = fit.weight_F / scale_P, fit.intercept
        else:
            weight_P, intercept = np.empty(0), float(values_N.mean())
        return cls(
            scaling=scaling,
            weight=tuple(weight_P[:count].tolist()),
            products=tuple(weight_P[count:].tolist()),
            intercept=intercept - float(centre_P @ weight_P),
            floor=FLOOR * float(values_N.min()),
            ceiling=CEILING * float(values_N.max()),
        )

    def predict(self, features: Features) -> FloatArray:
        """The polynomial, between floor and ceiling."""
        z_NF = self.scaling(features)
        value_N = self.intercept + weighted_sum(z_NF, np.array(self.weight))
        for product_N, weight in zip(_products(z_NF), self.products, strict=True):
            value_N += weight * product_N
        return np.clip(value_N, self.floor, self.ceiling)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return super().to_dict() | {"products": list(self.products)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Self:
        """Reads the JSON form of `to_dict`."""
        return super().from_dict({**form, "products": tuple(form["products"])})


def _products(z_NF: FloatArray) -> Iterator[FloatArray]:
    """One at a time: of many architectures all of them at once would take much memory."""
    z_FN = np.ascontiguousarray(z_NF.T)
    for first in range(len(z_FN)):
        for second in range(first, len(z_FN)):
            yield z_FN[first] * z_FN[second]
