import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osirix_agent.viewer.paint import CreateRoi, DeleteRoi, RenameRoi, ReshapeRoi, RoiKey, make_plan
from osirix_agent.viewer.roi import (
    Brush,
    RoiSpec,
    RoiState,
    RoiType,
    Style,
    agent_name,
    isoline_role,
    parse_agent_name,
)

STYLE = Style((1, 2, 3))


def square(k: int, size: float, name: str = "a") -> RoiSpec:
    points = np.array([(0, 0), (size, 0), (size, size), (0, size)], np.float32)
    return RoiSpec(k, RoiType.CLOSED_POLYGON, name, STYLE, points)


def brush(k: int, n: int) -> RoiSpec:
    return RoiSpec(k, RoiType.BRUSH, "a", STYLE, np.zeros((0, 2), np.float32), Brush(np.ones((n, n), bool), (1, 1)))


scenes = st.dictionaries(
    st.integers(0, 5),
    st.one_of(
        st.builds(square, st.just(0), st.integers(1, 4), st.sampled_from(["a", "b"])),
        st.builds(brush, st.just(0), st.integers(1, 3)),
    ),
)


@given(scenes, scenes)
def test_a_plan_turns_what_is_held_into_what_is_wanted(before, after):
    held = {RoiKey("s", "contour", k): RoiState(f"u{k}", spec) for k, spec in before.items()}
    wanted = {RoiKey("s", "contour", k): spec for k, spec in after.items()}
    plan = make_plan(wanted, held)
    now = {key: state.spec for key, state in held.items()}
    for write in plan.writes:
        match write:
            case CreateRoi():
                assert write.key not in now
                now[write.key] = write.spec
            case DeleteRoi():
                del now[write.key]
            case ReshapeRoi():
                now[write.key] = write.spec
            case RenameRoi():
                old = now[write.key]
                now[write.key] = RoiSpec(old.k, old.itype, write.name, old.style, old.points_xy, old.brush)
    assert now.keys() == wanted.keys()
    assert all(now[key].same_shape(wanted[key]) and now[key].name == wanted[key].name for key in now)
    assert not make_plan(wanted, {key: RoiState("u", spec) for key, spec in now.items()}).writes


def test_only_changed_slices_are_written():
    wanted = {RoiKey("s", "contour", k): square(k, 3) for k in range(100)}
    held = {key: RoiState(f"u{key.k}", spec) for key, spec in wanted.items()}
    edited = wanted | {RoiKey("s", "contour", k): square(k, 4) for k in range(40, 45)}
    assert make_plan(edited, held).slices == set(range(40, 45))


def test_accepting_only_renames():
    held = {RoiKey("s", "contour", k): RoiState(f"u{k}", square(k, 3, "GTV ~draft.abcdef")) for k in range(3)}
    plan = make_plan({key: square(key.k, 3, "GTV") for key in held}, held)
    assert all(isinstance(write, RenameRoi) for write in plan.writes)
    assert len(plan.writes) == 3


@pytest.mark.parametrize("structure", ["GTVp", "left thing ~x", "a.b"])
def test_agent_names_are_recognised_and_nothing_else_is(structure):
    assert parse_agent_name(agent_name(structure, isoline_role(5), "12ab9f")) == (structure, "u05", "12ab9f")
    for other in (structure, f"{structure} ~draft", f"{structure} ~draft.xyz", "~draft.abcdef"):
        assert parse_agent_name(other) is None


def test_shapes_are_the_same_within_float32_noise_only():
    a = square(0, 3)
    assert a.same_shape(RoiSpec(0, a.itype, "other", a.style, a.points_xy + np.float32(5e-4)))
    assert not a.same_shape(RoiSpec(0, a.itype, "a", a.style, a.points_xy + np.float32(5e-3)))
    assert not a.same_shape(square(1, 3))
    assert not brush(0, 2).same_shape(brush(0, 3))
    assert brush(0, 2).shape_digest != brush(0, 3).shape_digest


def test_brush_is_cropped_and_comes_back():
    full = np.zeros((9, 12), bool)
    full[3:5, 7:11] = True
    held = Brush.from_full(full)
    assert held.corner == (7, 3)
    assert np.array_equal(held.to_full(9, 12), full)
    assert Brush.from_full(np.zeros((3, 3), bool)) is None
