import ast
import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.cost import costs, population_costs
from automoe.errors import SpaceError
from automoe.space import (
    Constraint,
    DecoderLayerChoices,
    ExpertChoices,
    GenomeCodec,
    LayerChoices,
    SearchSpace,
    SideChoices,
    find_space,
    read_space,
)
from automoe.space.constraints import VARIABLES, _bounds
from tests.space.strategies import conditioned_spaces, few
from tests.spaces import small_space


def constrained(*texts: str, space: SearchSpace | None = None) -> SearchSpace:
    return dataclasses.replace(space or small_space(), constraints=tuple(map(Constraint.parse, texts)))


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-3, 3))
def test_a_constraint_means_what_python_means(dim, depth, experts):
    text = "encoder.dim + 2 * encoder.layers - 1 < -encoder.experts <= encoder.dim // 2 or not encoder.dim % 3 == 1"
    sizes = {"encoder.dim": dim, "encoder.layers": depth, "encoder.experts": experts}
    plain = text.replace("encoder.", "")
    assert bool(Constraint.parse(text).holds(sizes)) == eval(
        plain, {}, {"dim": dim, "layers": depth, "experts": experts}
    )


def test_a_constraint_holds_for_many_at_once_and_never_where_something_is_divided_by_0():
    constraint = Constraint.parse("encoder.dim // encoder.layers > 1 or encoder.dim % encoder.layers == 0")
    holds = constraint.holds({"encoder.dim": np.array([8, 8, 1, 0]), "encoder.layers": np.array([2, 0, 3, 1])})
    assert holds.tolist() == [True, False, False, True]


def test_blanks_and_needless_brackets_make_no_other_constraint():
    one, other = Constraint.parse("decoder.dim<=encoder.dim"), Constraint.parse(" (decoder.dim)  <= (encoder.dim) ")
    assert one == other
    assert str(one) == "decoder.dim <= encoder.dim"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no expression"),
        ("encoder.dim <", "is no expression"),
        ("encoder.dim", "true or false"),
        ("1 < 2", "speaks of no size"),
        ("encoder.width > 2", "which is no size"),
        ("encoder.layer.heads == decoder.layer.heads", "joins layers"),
        ("encoder.dim ** 2 < 9", "not allowed there"),
        ("encoder.dim / 2 < 9", "not allowed there"),
        ("encoder.dim < 2.5", "not allowed there"),
        ("encoder.dim < True", "not allowed there"),
        ("encoder.dim in (1, 2)", "not allowed there"),
        ("encoder.dim < 10 ** 15", "not allowed there"),
        ("encoder.dim < 99999999999999", "beyond every model"),
        ("__import__('os').system('true') == encoder.dim", "not allowed there"),
        ("encoder.__class__ == 1", "which is no size"),
        ("(lambda: encoder.dim)() < 1", "not allowed there"),
        ("[x for x in encoder.dim] < 1", "not allowed there"),
        ("(encoder.dim < 3) + 1 > 0", "not allowed there"),
        ("encoder.dim < 3; decoder.dim", "is no expression"),
        ("(" * 300 + "encoder.dim" + ")" * 300 + " < 1", "is no expression"),
        ("not " * 80 + "encoder.dim < 1", "nested too deeply"),
    ],
)
def test_what_is_no_condition_on_sizes_is_refused(text, message):
    with pytest.raises(SpaceError, match=message) as caught:
        Constraint.parse(text)
    assert caught.value.key == "constraints"


@few
@given(conditioned_spaces())
def test_feasible_genomes_are_those_whose_architectures_meet_the_constraints(space):
    codec = GenomeCodec(space)
    genome_NG = codec.draw(60, np.random.default_rng(0))
    feasible_N = codec.feasible(genome_NG)
    bare = GenomeCodec(dataclasses.replace(space, constraints=()))
    assert feasible_N.tolist() == [arch in space for arch in bare.decode_all(genome_NG)]


def test_a_genome_that_breaks_a_constraint_is_refused_by_its_text():
    space = constrained("decoder.layers <= encoder.layers", "decoder.dim <= encoder.dim")
    codec = GenomeCodec(space)
    bare = GenomeCodec(small_space())
    genome_G = codec.encode(space.smallest())
    genome_G[codec.names.index("decoder.dim")] = 12
    assert codec.canonical(genome_G[None]).tolist() == [genome_G.tolist()]  # which looks at no constraint
    rng = np.random.default_rng(0)
    for use in (
        lambda: codec.decode(genome_G),
        lambda: codec.encode(bare.decode(genome_G)),
        lambda: codec.mutate(genome_G[None], rng, 0.1),
        lambda: codec.cross(genome_G[None], genome_G[None], rng),
    ):
        with pytest.raises(SpaceError, match="breaks this constraint") as caught:
            use()
        assert (caught.value.key, caught.value.value) == ("constraints", "decoder.dim <= encoder.dim")


def test_constraints_that_contradict_each_other_are_named_when_something_is_drawn():
    space = constrained("encoder.dim > decoder.dim", "decoder.dim > encoder.dim")
    codec = GenomeCodec(space)
    for use in (lambda: codec.sample(1, np.random.default_rng(0)), space.largest, space.smallest):
        with pytest.raises(SpaceError, match="meets all of them") as caught:
            use()
        assert "encoder.dim > decoder.dim; decoder.dim > encoder.dim" in str(caught.value)


TIED = tuple(f"{side}.layer.heads * 2 == {side}.dim" for side in ("encoder", "decoder"))
"""Of the 3**12 numbers of heads of twelve layers one goes with the dimensions."""


def tied_space(*texts: str) -> SearchSpace:
    experts = ExpertChoices(width=(8, 16))
    return SearchSpace(
        name="tied",
        encoder=SideChoices(dim=(4, 8, 16), depth=(6,), layers=(LayerChoices(heads=(2, 4, 8), qkv_dim=(8,),
                                                                           experts=experts),) * 6),
        decoder=SideChoices(dim=(4, 8, 16), depth=(6,), layers=(DecoderLayerChoices(heads=(2, 4, 8), qkv_dim=(8,),
                                                                                  experts=experts),) * 6),
        constraints=tuple(map(Constraint.parse, texts or TIED)),
    )  # fmt: skip


def test_a_space_in_which_hardly_any_draw_lies_is_sampled_and_varied_all_the_same():
    codec, rng = GenomeCodec(tied_space()), np.random.default_rng(0)
    parent_NG = codec.sample(200, rng)
    place = codec.names.index("encoder.dim")
    for genome_NG in (parent_NG, codec.mutate(parent_NG, rng, 0.5), codec.cross(parent_NG, parent_NG[::-1], rng)):
        assert codec.feasible(genome_NG).all()
        assert set(genome_NG[:, place].tolist()) == {4, 8, 16}
    assert codec.space.sample(rng) in codec.space
    assert np.array_equal(*(GenomeCodec(tied_space()).sample(5, np.random.default_rng(1)) for _ in range(2)))


def test_a_child_that_cannot_be_made_is_drawn_without_its_parent_or_has_a_side_of_each():
    codec, rng = GenomeCodec(tied_space()), np.random.default_rng(0)
    parent_NG = codec.sample(400, rng)
    assert (codec.mutate(parent_NG, rng, 0.5) == parent_NG).all(axis=1).mean() < 0.01
    child_NG = codec.cross(parent_NG, parent_NG[::-1], rng)
    begin = codec.names.index("decoder.dim")
    of_b_N = [(child_NG == each).all(axis=1) for each in (parent_NG, parent_NG[::-1])]
    halves_N = [(child_NG[:, part] == each[:, part]).all(axis=1)
                for part in (slice(begin), slice(begin, None)) for each in (parent_NG, parent_NG[::-1])]  # fmt: skip
    mixed_N = (halves_N[0] & halves_N[3]) | (halves_N[1] & halves_N[2])
    assert (mixed_N & ~of_b_N[0] & ~of_b_N[1]).mean() > 0.5  # where the dimensions differ uniform crossover fails


def test_the_largest_is_not_the_smallest_where_no_draw_finds_any():
    # All of these architectures are of equal size: heads times dimension is 16 everywhere.
    space = tied_space(*(f"{side}.layer.heads * {side}.dim == 32 and {side}.layer.expert_width == 8"
                         for side in ("encoder", "decoder")))  # fmt: skip
    assert space.num_architectures == 9
    assert space.largest() in space
    assert space.smallest() in space
    assert space.largest() != space.smallest()


def test_a_sum_that_no_model_reaches_is_computed_and_what_could_overflow_is_refused():
    large = Constraint.parse("encoder.dim * encoder.experts * decoder.dim < 1")
    sizes = {"encoder.dim": 2**20, "encoder.experts": 2**20, "decoder.dim": 2**20}
    assert not large.holds(sizes)
    for text in (
        "encoder.dim * 1000000000000 * 1000000000000 < 0",
        "encoder.dim * encoder.experts * decoder.dim * decoder.experts > 0",
        "-(encoder.dim * encoder.dim) * (decoder.dim * decoder.dim) < 3",
        "(encoder.dim * encoder.dim * encoder.dim // decoder.dim - 9) * encoder.layers * 9 < 3",
    ):
        with pytest.raises(SpaceError, match="too large to be computed"):
            Constraint.parse(text)
    for digits in ("9" * 5000, "0x" + "f" * 5000, "1_000" * 2000):
        with pytest.raises(SpaceError, match="a number beyond every model"):
            Constraint.parse(f"encoder.dim < {digits}")


@given(
    st.sampled_from(
        ["{a} * {b} - {a}", "-({a} // {b})", "({a} - {b}) % {c}", "{a} // ({b} - {c}) * {c}", "{a} % -{c}"]
    ),
    st.tuples(*[st.one_of(st.integers(0, 2**20), st.sampled_from([0, 1, 2**20]))] * 3),
)
def test_no_value_is_beyond_the_bounds_that_overflow_is_judged_by(form, values):
    names = dict(zip("abc", ("encoder.dim", "encoder.experts", "decoder.dim"), strict=True))
    text = form.format(**names)
    low, high = _bounds(ast.parse(text, mode="eval").body, text)
    try:
        value = eval(form.format(**dict(zip("abc", values, strict=True))))
    except ZeroDivisionError:
        return
    assert low <= value <= high


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "Write a condition"),
        ("encoder.dim => decoder.dim", "Write >="),
        ("encoder.dim = decoder.dim", "Write =="),
        ("encoder.dim > 1 && decoder.dim > 1", "Write and"),
        ("encoder.dim > 1 || decoder.dim > 1", "Write or"),
        ("encoder.dim <> 3", "Write !="),
        ("!encoder.dim > 3", "Write not"),
        ("encoder.dim / 2 > 3", "Write //"),
        ("encoder.dim in (4, 8)", "a == 1 or a == 2"),
        ("encoder.dim ** 2 > 3", "as a product"),
        ("(encoder.dim > 1) & (encoder.dim < 9)", "Write and"),
    ],
)
def test_what_other_languages_write_is_put_into_this_one(text, hint):
    with pytest.raises(SpaceError) as caught:
        Constraint.parse(text)
    assert hint in caught.value.hint


def test_a_size_that_a_side_lacks_is_answered_with_those_of_that_side():
    with pytest.raises(SpaceError) as caught:
        Constraint.parse("decoder.width > 2")
    assert caught.value.allowed.split(", ") == [name for name in VARIABLES if name.startswith("decoder.")]


@few
@given(conditioned_spaces())
def test_no_architecture_costs_less_than_the_floor(space):
    sizes = {"vocab_size": 100, "pre_norm": True}
    codec = GenomeCodec(space)
    least = costs(space.floor(), **sizes).to_dict()
    found = population_costs(codec, codec.sample(50, np.random.default_rng(0)), **sizes)
    assert all(found[cost].min() >= least[cost] for cost in found)


def test_what_was_worked_out_is_not_pickled():
    space = constrained("decoder.layers <= encoder.layers")
    codec, before = GenomeCodec(space), [len(pickle.dumps(each)) for each in (space, GenomeCodec(space))]
    arch = space.sample(np.random.default_rng(0))
    assert space.num_architectures > 1
    codec.decode_all(codec.sample(200, np.random.default_rng(0)))
    assert [len(pickle.dumps(each)) for each in (space, codec)] == before
    again = pickle.loads(pickle.dumps((space, codec)))
    assert again[0] == space
    assert (again[1].encode(arch) == codec.encode(arch)).all()


def test_the_largest_and_the_smallest_are_in_the_space_and_nothing_next_to_them_is_beyond():
    space = constrained("encoder.layer.expert_width * encoder.layer.experts <= 24", "decoder.dim < encoder.dim",
                        "encoder.layers + decoder.layers == 3")  # fmt: skip
    codec = GenomeCodec(space)
    for arch, sign in ((space.largest(), 1), (space.smallest(), -1)):
        assert arch in space
        genome_G = codec.encode(arch)
        sums_N = np.log(np.maximum(codec.neighbours(genome_G), 1)).sum(axis=1)
        assert (sign * sums_N <= sign * np.log(np.maximum(genome_G, 1)).sum() + 1e-9).all()
    assert not space.largest().fits(space.smallest())
    assert dataclasses.replace(space).largest() == space.largest()


def test_the_largest_is_the_envelope_wherever_the_space_holds_it():
    space = constrained("decoder.layers <= encoder.layers", "decoder.dim <= encoder.dim")
    assert space.largest() == space.envelope() == small_space().largest()
    assert space.smallest() == small_space().smallest()


@pytest.mark.parametrize(("name", "digest"), [("tiny", "1b530ea03c17"), ("quickstart", "d8aaff0a547c")])
def test_the_digest_of_a_space_without_conditions_is_what_it_always_was(name, digest):
    assert read_space(find_space(name)).digest == digest


@few
@given(conditioned_spaces())
def test_a_space_is_read_back_from_its_json_form(space):
    again = SearchSpace.from_dict(space.to_dict())
    assert again == space
    assert again.digest == space.digest
    bare = dataclasses.replace(space, constraints=(), expert_layers=())
    assert not {"constraints", "expert_layers"} & set(bare.to_dict())


def test_the_order_of_constraints_changes_no_digest_and_each_of_them_does():
    texts = ("decoder.layers <= encoder.layers", "decoder.dim <= encoder.dim")
    both, turned = constrained(*texts), constrained(*reversed(texts), texts[0])
    assert both.digest == turned.digest
    assert len({space.digest for space in (both, small_space(), *map(constrained, texts))}) == 4
