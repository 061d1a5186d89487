import json

import numpy as np
import pytest

from osirix_agent.errors import (
    EditedMeanwhileError,
    NoServerError,
    NoViewerError,
    SeriesChangedError,
    UnsupportedSeriesError,
    ViewerClosedError,
    ViewerRefusedError,
    ViewerTimeoutError,
)
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import RPC_BUDGET, OsirixViewer
from osirix_agent.viewer.connection import OsirixConnection, candidate_addresses
from osirix_agent.viewer.paint import CreateRoi, NoLedger, PaintPlan, RoiKey, make_plan
from osirix_agent.viewer.roi import Brush, RoiSpec, RoiType, Style
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from osirix_agent.virtual_osirix.server import VirtualServer
from tests.conftest import signature

STYLE = Style((10, 20, 30), 3.0, 0.5)


def polygon(k: int, size: float = 10, name: str = "x") -> RoiSpec:
    points = np.array([(5, 5), (5 + size, 5), (5 + size, 5 + size), (5, 5 + size)], np.float32)
    return RoiSpec(k, RoiType.CLOSED_POLYGON, name, STYLE, points)


def scene(*specs: RoiSpec) -> dict[RoiKey, RoiSpec]:
    return {RoiKey("s", "contour", spec.k, n): spec for n, spec in enumerate(specs)}


def held_after(viewer: OsirixViewer, wanted, held=None):
    receipt = viewer.apply(make_plan(wanted, held or {}), NoLedger())
    return {key: state for key, state in {**(held or {}), **receipt.held}.items() if state is not None}


# -- finding -----------------------------------------------------------------------------------------------------
def test_candidates_flag_then_plugin_file_then_default(tmp_path):
    folder = tmp_path / "Library" / "Application Support" / "OsiriXGRPC"
    folder.mkdir(parents=True)
    rows = [
        {"ipaddress": "127.0.0.1", "port": "1", "active": "NO"},
        {"ipaddress": "127.0.0.1", "port": "2", "active": "YES"},
        {"ipaddress": "127.0.0.1", "port": "3", "active": "YES"},
    ]
    (folder / "server_configs.json").write_text(json.dumps(rows))
    found = [address for address, _ in candidate_addresses(Settings(), tmp_path)]
    assert found == ["127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:50051"]
    assert candidate_addresses(Settings(server="h:1"), tmp_path)[0][0] == "h:1"
    for broken in ("", "{", "[1]", '[{"active": "YES"}]'):
        (folder / "server_configs.json").write_text(broken)
        assert [a for a, _ in candidate_addresses(Settings(), tmp_path)] == ["127.0.0.1:50051"]


def test_a_stale_entry_is_passed_over_for_the_one_that_answers(hospital, tmp_path):
    home = tmp_path / "fake"
    path = hospital.server.write_config(home)
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([{"ipaddress": "127.0.0.1", "port": "9", "active": "YES"}, *rows]))
    connection = OsirixConnection.find(Settings(ping_deadline_s=0.5), home)
    assert connection.address == hospital.server.address
    connection.close()


def test_no_server_names_every_place_and_the_cure():
    with pytest.raises(NoServerError, match=r"127\.0\.0\.1:9 \(from the settings\)") as caught:
        OsirixConnection.find(Settings(server="127.0.0.1:9", ping_deadline_s=0.3))
    assert "Server Configuration" in caught.value.cure


def test_no_viewer(hospital):
    hospital.clinician.close()
    with pytest.raises(NoViewerError, match="No 2D viewer"):
        hospital.viewer()


# -- the series --------------------------------------------------------------------------------------------------
def test_volume_geometry_and_identity(hospital, phantom):
    viewer = hospital.viewer()
    volume = viewer.read_volume()
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, phantom.image)
    assert volume.geometry.spacing_kji_mm == pytest.approx(phantom.recipe.spacing_kji_mm)
    assert volume.geometry.origin_lps == pytest.approx(phantom.recipe.origin_lps)
    assert viewer.identity.frame_of_reference_uid == phantom.frame_of_reference_uid
    assert len(viewer.identity.sop_uids) == phantom.recipe.shape_kji[0]


def test_a_1024_slice_passes_the_message_limit(tmp_path):
    write_phantom(tmp_path, PhantomRecipe(shape_kji=(3, 1024, 1024), spacing_kji_mm=(3, 0.5, 0.5)))
    app = VirtualOsirix()
    app.open_folder(tmp_path)
    with VirtualServer(app) as server:
        settings = Settings(server=server.address)
        connection = OsirixConnection.find(settings)
        assert OsirixViewer.frontmost(connection, settings).read_volume().array.shape == (3, 1024, 1024)
        connection.close()


def spoil_rgb(window):
    for pix in window.pixes[0]:
        pix.image = np.zeros((*pix.image.shape, 3), np.uint8)


def spoil_4d(window):
    window.pixes.append(window.pixes[0])
    window.rois.append([[] for _ in window.pixes[0]])


def spoil_multiframe(window):
    for pix in window.pixes[0]:
        pix.source = window.pixes[0][0].source


def spoil_two_slices(window):
    del window.pixes[0][2:], window.rois[0][2:]


def spoil_spacing(window):
    window.pixes[0][3].origin = window.pixes[0][3].origin + np.float32([0, 0, 1.0])


def spoil_mixed(window):
    window.pixes[0][1].image = np.zeros((8, 8), np.float32)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (spoil_rgb, "colour"), (spoil_4d, "4D"), (spoil_multiframe, "multi-frame"), (spoil_two_slices, "at least 3"),
        (spoil_spacing, "not evenly spaced"), (spoil_mixed, "differ in size"),
    ],
)  # fmt: skip
def test_a_series_that_cannot_be_contoured_is_refused_with_what_to_do(hospital, spoil, what):
    spoil(hospital.window)
    with pytest.raises(UnsupportedSeriesError, match=what) as caught:
        hospital.viewer()
    assert caught.value.cure


def test_a_switched_series_and_a_closed_viewer_are_told_apart(hospital):
    viewer = hospital.viewer()
    other = hospital.app.open_series(hospital.window.series)
    hospital.window.pixes = other.pixes
    with pytest.raises(SeriesChangedError):
        viewer.snapshot()
    with pytest.raises(SeriesChangedError):
        viewer.apply(make_plan(scene(polygon(1)), {}), NoLedger())
    hospital.clinician.close()
    with pytest.raises(ViewerClosedError):
        viewer.snapshot()


def test_flipping_changes_no_index(hospital):
    viewer = hospital.viewer()
    hospital.clinician.scroll_to(2)
    hospital.clinician.flip()
    assert viewer.snapshot().displayed_k == 2
    viewer.show_slice(9)
    assert hospital.window.index == 9
    with pytest.raises(ValueError, match="outside the series"):
        viewer.show_slice(99)


# -- writing -----------------------------------------------------------------------------------------------------
def test_written_rois_are_what_was_meant_visible_and_redrawn_once(hospital):
    viewer = hospital.viewer()
    brush = np.zeros((6, 6), bool)
    brush[1:5, 1:5] = True
    brush[2:4, 2:4] = False
    spec = RoiSpec(4, RoiType.BRUSH, "b", STYLE, np.zeros((0, 2), np.float32), Brush(brush[1:5, 1:5], (7, 8)))
    held_after(viewer, scene(polygon(3), spec))
    assert hospital.window.redraws == 1
    drawn, painted = hospital.clinician.rois(3)[0], hospital.clinician.rois(4)[0]
    assert (drawn.color, drawn.thickness, drawn.opacity) == ((10, 20, 30), 3.0, 0.5)
    assert painted.texture.sum() == 12
    assert painted.texture_xy == (7, 8)
    snapshot = viewer.snapshot(full=True)
    assert all(
        any(state.spec.same_shape(s) for s in (polygon(3), spec)) for state in snapshot.rois.values()
    )  # read back exactly, hole included


def test_every_kind_of_roi_can_be_deleted_and_drawn_again_exactly(hospital):
    c = hospital.clinician
    drawn = [
        c.point((10.25, 11.5)), c.box((3.3, 4.4), (7.7, 5.1)), c.oval((20.2, 21.1), (5.5, 3.3)),
        c.polygon([(1, 1), (9, 2), (5, 8)]), c.open_polygon([(1, 1), (9, 2), (5, 8)]),
        c.pencil([(1, 1), (2, 2), (3, 1)]), c.brush(np.eye(4, dtype=bool), (6, 7)),
    ]  # fmt: skip
    before = sorted(signature(roi) for roi in drawn if roi.itype not in (6, 9))
    viewer = hospital.viewer()
    states = viewer.snapshot(full=True).rois
    wanted = {RoiKey("p", "prompt", s.spec.k, n): s.spec for n, s in enumerate(states.values())}
    held = dict(zip(wanted, states.values(), strict=True))
    viewer.apply(make_plan({}, held), NoLedger())
    assert c.rois() == []
    held_after(viewer, wanted)
    again = c.rois()
    assert sorted(signature(roi) for roi in again if roi.itype not in (6, 9)) == before
    for old, new in zip(drawn, sorted(again, key=lambda r: [d.itype for d in drawn].index(r.itype)), strict=True):
        assert np.allclose(old.service_points(), new.service_points(), atol=1e-4)


def test_a_plan_that_is_refused_half_way_leaves_what_was_there(hospital):
    viewer = hospital.viewer()
    held = held_after(viewer, scene(polygon(1), polygon(2)))
    before = sorted(signature(roi) for roi in hospital.clinician.rois())
    bad = RoiSpec(3, RoiType.CLOSED_POLYGON, "bad", STYLE, np.zeros((2, 2), np.float32))
    keys = list(held)
    wanted = {keys[0]: polygon(1, 14, "new name"), RoiKey("s", "contour", 5, 7): polygon(5), RoiKey("t", "c", 3): bad}
    with pytest.raises(ViewerRefusedError, match="Could not create ROI"):
        viewer.apply(make_plan(wanted, held), NoLedger())
    assert sorted(signature(roi) for roi in hospital.clinician.rois()) == before


def test_an_roi_edited_meanwhile_stops_the_plan_before_anything_is_written(hospital):
    viewer = hospital.viewer()
    held = held_after(viewer, scene(polygon(1), polygon(2)))
    hospital.clinician.move_vertex(hospital.clinician.rois(2)[0], 0, (1, 1))
    before = sorted(signature(roi) for roi in hospital.clinician.rois())
    with pytest.raises(EditedMeanwhileError):
        viewer.apply(make_plan({}, held), NoLedger())
    assert sorted(signature(roi) for roi in hospital.clinician.rois()) == before
    hospital.clinician.delete(hospital.clinician.rois(1)[0])
    with pytest.raises(EditedMeanwhileError, match="deleted"):
        viewer.apply(make_plan({}, held), NoLedger())


def test_a_slice_outside_the_series_never_reaches_osirix(hospital):
    viewer = hospital.viewer()
    with pytest.raises(ValueError, match="outside the series"):
        viewer.apply(PaintPlan((CreateRoi(RoiKey("s", "c", 99), polygon(99)),)), NoLedger())
    assert not hospital.app.crashed


def test_the_pen_is_given_back(hospital):
    hers = hospital.clinician.polygon([(1, 1), (9, 2), (5, 8)])
    hospital.clinician.recolour(hers, (1, 200, 3))
    pen = hospital.app.pens["others"]
    viewer = hospital.viewer()
    viewer.snapshot()
    before = signature(hers)
    held_after(viewer, scene(polygon(1)))
    assert hospital.app.pens["others"] != pen
    viewer.restore_pens([hospital.app.uid(hers)])
    assert hospital.app.pens["others"] == pen
    assert signature(hers) == before


def test_a_create_that_lands_after_its_deadline_is_found_not_repeated(hospital):
    settings = hospital.settings.model_copy(update={"rpc_deadline_s": 1.0})
    connection = OsirixConnection.find(settings)
    viewer = OsirixViewer.frontmost(connection, settings)
    calls = []

    def slow(name: str) -> None:
        if name == "ViewerControllerNewROI" and not calls:
            calls.append(name)
            import time

            time.sleep(1.4)

    real = viewer._find_created

    def later(spec):
        import time

        time.sleep(0.8)  # the dialog closes, the late call lands
        return real(spec)

    viewer._find_created = later
    hospital.app.before_rpc = slow
    held = held_after(viewer, scene(polygon(1)))
    assert len(held) == 1
    assert len(hospital.clinician.rois()) == 1
    connection.close()


def test_a_modal_dialog_is_a_timeout_with_a_cure(hospital):
    settings = hospital.settings.model_copy(update={"rpc_deadline_s": 1.0})
    connection = OsirixConnection.find(settings)
    viewer = OsirixViewer.frontmost(connection, settings)
    with hospital.clinician.modal_dialog(), pytest.raises(ViewerTimeoutError, match="dialog"):
        viewer.snapshot()
    connection.close()


# -- watching ----------------------------------------------------------------------------------------------------
def test_a_poll_stays_within_its_budget_and_comes_round_to_every_roi(hospital):
    rois = [hospital.clinician.polygon([(1, 1), (9, 2), (5, 8)], k=k) for k in range(12) for _ in range(4)]
    viewer = hospital.viewer()
    viewer.snapshot(full=True)
    seen: set[str] = set()
    for _ in range(12):
        before = hospital.connection.rpc_count
        seen |= viewer.snapshot().fresh
        assert hospital.connection.rpc_count - before <= RPC_BUDGET
    assert seen == {hospital.app.uid(roi) for roi in rois}


def test_a_repainted_brush_and_a_new_name_are_noticed(hospital):
    roi = hospital.clinician.brush(np.ones((5, 5), bool), (3, 3))
    viewer = hospital.viewer()
    uid = hospital.app.uid(roi)
    assert viewer.snapshot().rois[uid].spec.brush.mask.sum() == 25
    hospital.clinician.paint_more(roi, slice(1, 3), slice(1, 3), False)
    hospital.clinician.rename(roi, "-")
    state = viewer.snapshot().rois[uid]
    assert (state.spec.brush.mask.sum(), state.spec.name) == (21, "-")
