from collections import defaultdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from automoe.data import alignment
from automoe.data.alignment import ShortlistConfig, build_shortlist
from automoe.decoding.symbols import EOS, UNK
from automoe.errors import ConfigError

VOCAB_SIZE = 12
SENTENCES = st.lists(st.integers(UNK, VOCAB_SIZE - 1), max_size=6).map(lambda ids: np.array([*ids, EOS]))
PAIRS = st.lists(st.tuples(SENTENCES, SENTENCES), max_size=8)
NAMES = {4: 104, 5: 105, 6: 106, 7: 107, 8: 108}
"""A language whose words translate one to one."""


def _build(pairs, vocab_size=VOCAB_SIZE, **config):
    return build_shortlist(
        [source for source, _ in pairs], [target for _, target in pairs], vocab_size, ShortlistConfig(**config)
    )


def _rows(shortlist):
    return [row.tolist() for row in np.split(shortlist.token_P, shortlist.offset_V[1:-1])]


def _naive_counts(pairs, iterations):
    """Expected counts of Model 1, word by word (Brown et al. 1993); the source's end symbol is the empty word."""
    t = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        count = defaultdict(float)
        for source, target in pairs:
            for f in target[target != EOS].tolist():
                total = sum(t[e, f] for e in source.tolist())
                for e in source.tolist():
                    count[e, f] += t[e, f] / total
        row_total = defaultdict(float)
        for (e, _), value in count.items():
            row_total[e] += value
        t = defaultdict(float, {(e, f): value / row_total[e] for (e, f), value in count.items()})
    return count


@given(PAIRS, st.integers(1, 4), st.sampled_from([0.07, 0.31, 0.93]))
def test_rows_hold_what_model_1_counts_often_enough(pairs, iterations, min_count):
    count = _naive_counts(pairs, iterations)
    assume(all(abs(value - min_count) > 1e-4 for value in count.values()))  # sums in float32 differ a little
    shortlist = _build(pairs, iterations=iterations, min_count=min_count, frequent=1)
    always = set(shortlist.always_A.tolist())
    for e, row in enumerate(_rows(shortlist)):
        wanted = {f for f in range(VOCAB_SIZE) if count[e, f] >= min_count}
        if e == EOS:
            assert row == [] and wanted <= always
        else:
            assert row == sorted(wanted - always)


@settings(max_examples=30)
@given(PAIRS, st.integers(1, 40), st.integers(1, 9))
def test_blocks_and_chunks_change_nothing(pairs, cells, links):
    whole = _build(pairs).to_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "_BLOCK_CELLS", cells)
        patch.setattr(alignment, "_CHUNK_LINKS", links)
        assert _build(pairs).to_bytes() == whole


def test_words_are_told_apart_by_the_sentences_they_stand_in():
    rng = np.random.default_rng(1)
    sources = [rng.choice(list(NAMES), size=3, replace=False) for _ in range(60)]
    pairs = [(np.append(words, EOS), np.array([*(NAMES[word] for word in words[::-1]), EOS])) for words in sources]
    rows = _rows(_build(pairs, vocab_size=110, frequent=1, per_token=1, iterations=10))
    frequent = max(NAMES.values(), key=lambda name: (sum(name in target for _, target in pairs), -name))
    for word, name in NAMES.items():
        assert rows[word] == ([] if name == frequent else [name])


@given(PAIRS, st.integers(1, 3))
def test_a_row_has_at_most_per_token_tokens_and_those_that_were_counted_most(pairs, per_token):
    count = _naive_counts(pairs, 1)
    for e, row in enumerate(_rows(_build(pairs, per_token=per_token, iterations=1, min_count=1e-9, frequent=1))):
        assert len(row) <= per_token
        left_out = [count[e, f] for f in range(VOCAB_SIZE) if f not in row]
        always_in = per_token - len(row)  # a token that is always in takes one of the places, but is not in the row
        assert sum(value > min((count[e, f] for f in row), default=np.inf) + 1e-5 for value in left_out) <= always_in


@given(PAIRS, st.integers(1, 5))
def test_the_most_frequent_target_tokens_are_always_in(pairs, frequent):
    seen = np.bincount(np.concatenate([[], *(target for _, target in pairs)]).astype(int), minlength=VOCAB_SIZE)
    seen[EOS] = 0
    always = _build(pairs, frequent=frequent, min_count=1e9).always_A.tolist()
    best = [token for token in np.argsort(-seen, kind="stable")[:frequent].tolist() if seen[token]]
    assert always == sorted({EOS, UNK, *best})


def test_sources_and_targets_that_are_no_pairs_are_refused():
    with pytest.raises(ValueError, match="2 sources, 1 targets"):
        build_shortlist([np.array([EOS])] * 2, [np.array([EOS])], VOCAB_SIZE)


@pytest.mark.parametrize("field", ["per_token", "frequent", "iterations", "min_count"])
def test_a_number_that_makes_no_sense_names_its_key(field):
    with pytest.raises(ConfigError, match=rf"shortlist\.{field}=0"):
        ShortlistConfig(**{field: 0})
