import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.space import Census, Constraint, GenomeCodec, SearchSpace, find_space, read_space
from tests.space.members import belongs, is_countable, members, without_conditions
from tests.space.strategies import conditioned_spaces, few, fewer
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


@fewer
@given(conditioned_spaces().filter(is_countable))
def test_the_architectures_of_a_space_meet_its_conditions_and_no_other_does(space):
    found, codec = members(space), GenomeCodec(space)
    for arch in members(without_conditions(space)):
        assert (arch in space) == (arch in found) == belongs(arch, space)
    assert set(codec.decode_all(Census(space).enumerate())) == found
    assert set(codec.decode_all(codec.sample(200, np.random.default_rng(0)))) <= found
    assert {space.largest(), space.smallest(), space.sample(np.random.default_rng(0))} <= found
    assert all(arch.fits(space.envelope()) for arch in found)


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
        with pytest.raises(SpaceError, match="found nothing that meets the constraints") as caught:
            use()
        assert "encoder.dim > decoder.dim; decoder.dim > encoder.dim" in str(caught.value)


def test_children_that_meet_no_constraint_give_way_to_their_first_parent():
    # Every gene but one is fixed, and that one has one feasible value.
    space = constrained("encoder.dim == 8 and encoder.layers == 2 and decoder.layers == 1 and decoder.dim == 8",
                        "encoder.layer.heads == 2 and encoder.layer.experts == 3")  # fmt: skip
    codec, rng = GenomeCodec(space), np.random.default_rng(0)
    parent_NG = codec.sample(20, rng)
    child_NG = codec.mutate(parent_NG, rng, 1.0)  # one draw in 576 is feasible
    assert codec.feasible(child_NG).all()
    assert (child_NG == parent_NG).all(axis=1).any()


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
