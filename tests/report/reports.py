"""Reports for tests: what a finished search of realistic size leaves behind."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from automoe.report import (
    BudgetLine,
    ChosenModel,
    Curve,
    ExecutedFit,
    FrontPoint,
    LearningPoint,
    ModelRow,
    PredictorFit,
    QualityFit,
    ReportData,
    Sample,
    SearchTrace,
)
from tests.architectures import architecture, decoder_layer, encoder_layer

LARGEST = architecture(
    128,
    [encoder_layer(512, 512, 512, 512, qkv_dim=128)] * 4,
    128,
    [decoder_layer(512, 512, 512, 512, qkv_dim=128, cross_qkv_dim=128, cross_layers=2)] * 3,
)
SPARSE = architecture(
    96,
    [
        encoder_layer(512, 256, 128, qkv_dim=96),
        encoder_layer(512, qkv_dim=96, heads=2),
        encoder_layer(512, 512, 256, 128, qkv_dim=96),
    ],
    128,
    [
        decoder_layer(512, 128, qkv_dim=128, cross_qkv_dim=128, cross_layers=2),
        decoder_layer(256, qkv_dim=128, cross_qkv_dim=128, heads=2, cross_heads=2),
    ],
)
DENSE = architecture(96, [encoder_layer(512, qkv_dim=96)] * 2, 96, [decoder_layer(256, qkv_dim=96, cross_qkv_dim=96)])
LOADS = {"encoder 0": [5210, 2140, 980], "encoder 2": [3900, 2630, 1800, 0], "decoder 0": [7169, 4266]}


def chosen(arch=SPARSE, loads=LOADS):
    return ChosenModel(
        architecture=arch,
        largest=LARGEST,
        expert_loads=loads,
        digest=arch.digest,
        selection_reasons=[
            "the lowest loss of the 31 architectures whose latency, at its upper 90 % bound, keeps the budget",
            "measured before it was chosen, because its interval reached over the budget",
        ],
    )


def points(number=50, budget=12.3):
    rng = np.random.default_rng([7, 1])
    latency = rng.uniform(6, 22, number)
    loss = 3.05 + 5 / latency + rng.gamma(1.5, 0.12, number)
    order = np.argsort(latency)
    front = {int(i) for k, i in enumerate(order) if loss[i] <= loss[order[: k + 1]].min()}
    feasible = latency * 1.08 <= budget
    best = min((i for i in range(number) if feasible[i]), key=lambda i: loss[i])
    return [
        FrontPoint(
            digest=f"{i:012x}",
            loss=float(loss[i]),
            latency_ms=float(latency[i]),
            lower_ms=float(latency[i] * 0.93),
            upper_ms=float(latency[i] * 1.08),
            measured_ms=float(latency[i] * rng.normal(1, 0.03)) if i in front or i % 7 == 0 else None,
            flops_g=float(0.02 * latency[i]),
            params_m=float(0.7 + 0.12 * latency[i]),
            on_front=i in front,
            chosen=i == best,
            feasible=bool(feasible[i]),
        )
        for i in range(number)
    ]


def predictor(number=60):
    rng = np.random.default_rng([7, 2])
    measured = rng.uniform(6, 22, number)
    predicted = measured * rng.normal(1, 0.035, number)
    return PredictorFit(
        name="ridge over layers",
        measured_ms=measured.tolist(),
        predicted_ms=predicted.tolist(),
        lower_ms=(predicted * 0.94).tolist(),
        upper_ms=(predicted * 1.06).tolist(),
        metrics={
            "ridge over layers": {"kendall_tau": 0.91, "error_percent": 2.4, "coverage": 0.9, "bias_ms": -0.01},
            "depth lookup": {"kendall_tau": 0.68, "error_percent": 9.8, "coverage": 0.88},
        },
        chosen="ridge over layers",
        errors_percent={"ridge over layers": 2.4, "trees": 3.9, "depth lookup": 9.8},
        noise_percent=1.3,
        learning_curve=[
            LearningPoint(rows=rows, error=error, spread=error / 5)
            for rows, error in ((12, 8.1), (24, 4.4), (48, 2.6))
        ],
        warnings=["rows 4 to 9 of 60 took 1.31 times as long as the others let expect"],
    )


def trace(number=50):
    volumes = [0.06 * (1 - math.exp(-step // 4 / 4)) for step in range(number)]
    return SearchTrace(objectives=["loss", "latency_ms", "flops_g"], hypervolume=volumes)


def curves():
    steps = range(50, 2001, 50)

    def falling(floor, speed, begin=8.3):
        return [floor + (begin - floor) * math.exp(-step / speed) for step in steps]

    return [
        Curve(panel="supernet", name="training", updates=steps, values=falling(3.6, 420), kind="train"),
        Curve(panel="supernet", name="largest", updates=steps, values=falling(3.1, 420), kind="valid"),
        Curve(panel="supernet", name="smallest", updates=steps, values=falling(3.7, 470), kind="valid"),
        Curve(panel="supernet", name="fixed panel", updates=steps, values=falling(3.35, 440), kind="valid"),
        Curve(panel="distillation", name="training", updates=steps, values=falling(2.9, 500, 3.9), kind="train"),
        Curve(panel="distillation", name="distilled", updates=steps, values=falling(2.75, 500, 3.4), kind="valid"),
    ]


def models():
    sizes = {"params_total_m": 1.83, "params_active_m": 1.41, "params_reachable_m": 1.78, "flops_g": 0.0871}
    time = {"latency_ms": 11.4, "latency_low": 11.1, "latency_high": 11.9}
    return [
        ModelRow(name="distilled", note="the bundle", bleu=31.04, chrf=54.4, role="chosen", **time, **sizes),
        ModelRow(name="inherited weights", bleu=27.9, chrf=51.2, **time, **sizes),
        ModelRow(
            name="largest sub-transformer",
            bleu=30.1,
            chrf=53.6,
            latency_ms=20.5,
            latency_low=20.1,
            latency_high=21.2,
            flops_g=0.1892,
            params_total_m=4.94,
            params_active_m=2.31,
            params_reachable_m=4.94,
            role="largest",
        ),
        ModelRow(name="copying the source", bleu=12.1, chrf=26.4),
    ]


SAMPLES = [
    Sample(
        source="Value of the setting.",
        reference="Wert der Einstellung.",
        translations={"distilled": "Wert der Einstellung.", "inherited weights": "Wert der Einstellungen."},
    ),
    Sample(
        source="First and third button",
        reference="Erste und dritte Taste",
        translations={"distilled": "Erste Taste und dritte Taste", "inherited weights": "Erste Taste und Taste"},
    ),
    Sample(
        source="The device {name} could not be reached at https://example.invalid/a/long/address/without/spaces.",
        reference="Das Gerät {name} war unter https://example.invalid/a/very/long/address nicht erreichbar.",
        translations={
            "distilled": "Das Gerät {name} konnte nicht erreicht werden.",
            "inherited weights": "Das Gerät {name} ist nicht erreicht.",
        },
    ),
]

REPORT = ReportData(
    title="quickstart",
    subtitle="English to German, Home Assistant; one thread of a CPU, beam 4. The bundle is 7.4 MB.",
    points=points(),
    budgets=[
        BudgetLine(
            cost="latency_ms",
            max=12.3,
            text="12.3 ms (60 % of the 20.5 ms that the largest took in the profile)",
            value=11.4,
            kept=True,
        )
    ],
    chosen=chosen(),
    predictor=predictor(),
    search=trace(),
    executed=ExecutedFit(rows=38, error_percent=0.74, uniform_percent=3.7),
    quality=QualityFit(name="sizes", quality="loss", rows=50, spearman=0.914, spearman_within_depth=0.866),
    curves=curves(),
    models=models(),
    samples=SAMPLES,
    notes=["The loads of the experts have drifted by 4 % since the latencies were measured."],
    signature={
        "automoe": "0.3.0",
        "space": "quickstart 1f0c9a77be21",
        "seed": "1",
        "device": "cpu-1t, Intel Xeon, torch 2.13.0",
        "search": "runs/quickstart/search/3fa9c1d2e4b5",
        "BLEU": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
        "chrF": "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0",
    },
)
"""Fifty architectures, three layers with experts, one of which no token reaches."""


def changed(**fields):
    """The report with other fields."""
    return replace(REPORT, **fields)
