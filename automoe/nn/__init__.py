"""The Transformer in pure PyTorch: elastic layers, experts, attention with a cache."""

from automoe.nn.config import TransformerConfig
from automoe.nn.cross_entropy import smoothed_cross_entropy
from automoe.nn.dispatch import Expert, dispatch_naive, dispatch_sorted, feed_forward
from automoe.nn.router import Routing, route
from automoe.nn.router_losses import balance_loss, mean_router_losses, router_z_loss
from automoe.nn.torch_device import DTYPES, find_device
from automoe.nn.torch_stepper import TorchStepper
from automoe.nn.transformer import Decoded, DecoderState, Routings, Source, Transformer
from automoe.nn.word_distillation import DistilledLoss, distilled_cross_entropy, soft_targets, word_distillation

__all__ = [
    "DTYPES",
    "Decoded",
    "DecoderState",
    "DistilledLoss",
    "Expert",
    "Routing",
    "Routings",
    "Source",
    "TorchStepper",
    "Transformer",
    "TransformerConfig",
    "balance_loss",
    "dispatch_naive",
    "dispatch_sorted",
    "distilled_cross_entropy",
    "feed_forward",
    "find_device",
    "mean_router_losses",
    "route",
    "router_z_loss",
    "smoothed_cross_entropy",
    "soft_targets",
    "word_distillation",
]
