"""Writes `architectures.json`: the 150 architectures of the space multi30k that `profile.py` measures.

They are chosen as `automoe profile` chooses them. It needs PyYAML to read the space; what it writes is committed, so
that `profile.py` does not:

    python experiments/gpu_profile/make_architectures.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The checkout in place of this folder, whose profile.py would hide the module of Python's library.
sys.path = [str(HERE.parents[1]), *(entry for entry in sys.path if Path(entry).resolve() != HERE)]

from automoe.cost import costs  # noqa: E402
from automoe.files import write_atomically  # noqa: E402
from automoe.latency import choose_architectures  # noqa: E402
from automoe.space import Architecture, GenomeCodec, find_space, read_space  # noqa: E402

SPACE, COUNT, VOCAB_SIZE, SEED = "multi30k", 150, 4000, 1
FILE = HERE / "architectures.json"


def architectures_json() -> str:
    """What the file holds: a header, and an architecture a line."""
    space = read_space(find_space(SPACE))
    codec = GenomeCodec(space)

    def flops(arch: Architecture) -> float:
        return costs(arch, vocab_size=VOCAB_SIZE, pre_norm=True).flops

    chosen = choose_architectures(
        lambda num, rng: [codec.decode(genome_G) for genome_G in codec.sample(num, rng)],
        space.largest(),
        space.smallest(),
        COUNT,
        flops,
        SEED,
    )
    header = {
        "space_name": space.name,
        "space_digest": space.digest,
        "vocab_size": VOCAB_SIZE,
        "reference_digest": space.smallest().digest,
    }
    begin = json.dumps(header).removesuffix("}")
    lines = ",\n".join(json.dumps(arch.to_dict(), separators=(",", ":")) for arch in chosen)
    return f'{begin}, "architectures": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    write_atomically(FILE, architectures_json())
