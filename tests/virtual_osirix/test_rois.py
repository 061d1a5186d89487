"""ROIs: what NewROI takes and refuses, what each kind answers, whose style the pen keeps."""

import numpy as np
import pytest
from osirixgrpc import roi_pb2

from osirix_agent.virtual_osirix.roi import Pen, factory_pens
from tests.virtual_osirix.conftest import Colour

TRIANGLE = [(1, 1), (9, 1), (9, 9)]
SQUARE = [(10.5, 10.5), (40.5, 10.5), (40.5, 30.5), (10.5, 30.5)]
PAINTED = np.array([[1, 1, 0], [0, 1, 1]], bool)

TAKEN = [
    (10, {"points": TRIANGLE}), (11, {"points": TRIANGLE}), (12, {"points": TRIANGLE}), (15, {"points": TRIANGLE}),
    (5, {"points": [(1, 1), (1, 1.2)]}), (14, {"points": [(1, 1), (1.3, 1)]}),
    (26, {"points": [*TRIANGLE, (2, 2)]}), (27, {"points": [*TRIANGLE, (2, 2)]}), (29, {"points": [*TRIANGLE] * 2}),
    (24, {"points": []}),
    (6, {"rect": (1, 1, 0.2, 0.3)}), (9, {"rect": (5, 5, 0.2, 0.3)}), (31, {"rect": (5, 5, 2, 3)}),
    (6, {"rect": (9, 9, -4, -5)}), (19, {"rect": (5, 5, 0, 0)}), (13, {"rect": (5, 5, 0, 0), "name": "words"}),
    (20, {"brush": PAINTED}),
]  # fmt: skip
REFUSED = [
    (10, {"points": TRIANGLE[:2]}), (11, {"points": TRIANGLE[:2]}), (12, {"points": TRIANGLE[:2]}),
    (15, {"points": TRIANGLE[:2]}), (5, {"points": [(1, 1)]}), (5, {"points": [(1, 1), (1.15, 1.15)]}),
    (14, {"points": [(1, 1), (1.1, 1)]}), (26, {"points": TRIANGLE}), (27, {"points": TRIANGLE}),
    (29, {"points": [*TRIANGLE, (2, 2), (3, 3)]}),
    (6, {"rect": (1, 1, 0.1, 5)}), (6, {"rect": (1, 1, 5, 0.1)}), (9, {"rect": (5, 5, 0.1, 5)}),
    (31, {"rect": (5, 5, 5, 0.1)}), (20, {"brush": PAINTED & False}), (20, {}),
    *((itype, {"points": TRIANGLE, "rect": (1, 1, 5, 5), "brush": PAINTED}) for itype in (4, 16, 23, 25, 28, 30, 32)),
]  # fmt: skip


@pytest.mark.parametrize(("itype", "what"), TAKEN)
def test_new_roi_takes(pencil, hospital, itype, what):
    answer, roi = pencil.draw(itype, **what)
    assert answer.status.status == 1
    assert hospital.clinician.rois(3) == [roi]
    assert pencil.stub.ROIIType(answer.roi).itype == itype


@pytest.mark.parametrize(("itype", "what"), REFUSED)
def test_new_roi_refuses(pencil, hospital, itype, what):
    answer, roi = pencil.draw(itype, **what)
    assert (answer.status.status, answer.status.message) == (0, "Could not create ROI")
    assert roi is None
    assert hospital.clinician.rois() == []


def test_a_brush_needs_rows_times_columns_values(pencil):
    request = pencil.request(20, brush=PAINTED)
    request.buffer.rows = 3
    assert pencil.stub.ViewerControllerNewROI(request).status.message == "Could not create ROI"


def test_a_rectangle_drawn_backwards_is_turned_round(pencil):
    answer, _ = pencil.draw(6, rect=(9, 8, -4, -5))
    assert [(p.x, p.y) for p in pencil.stub.ROIPoints(answer.roi).points] == [(5, 3), (5, 8), (9, 8), (9, 3)]


def test_style_is_clamped_where_the_service_clamps(pencil):
    style = {"color": Colour(r=300, g=-5, b=128), "opacity": 1.75, "thickness": 2.5}
    answer, _ = pencil.draw(11, points=TRIANGLE, **style)
    colour = pencil.stub.ROIColor(answer.roi)
    assert (colour.r, colour.g, colour.b) == (255, 0, 128)
    assert pencil.stub.ROIOpacity(answer.roi).opacity == 1.75  # not clamped here
    assert pencil.stub.ROIThickness(answer.roi).thickness == 3
    for asked, held in ((0.0, 1), (99.0, 20), (7.4, 7)):
        pencil.stub.ROISetThickness(roi_pb2.ROISetThicknessRequest(roi=answer.roi, thickness=asked))
        assert pencil.stub.ROIThickness(answer.roi).thickness == held
    for asked, held in ((-1.0, 0), (3.0, 1), (0.5, 0.5)):  # but here
        pencil.stub.ROISetOpacity(roi_pb2.ROISetOpacityRequest(roi=answer.roi, opacity=asked))
        assert pencil.stub.ROIOpacity(answer.roi).opacity == held


def test_points_are_float32(pencil):
    answer, roi = pencil.draw(11, points=[(0.1, 1 / 3), (9, 1), (9, 9)])
    assert roi.points.dtype == np.float32
    assert next((p.x, p.y) for p in pencil.stub.ROIPoints(answer.roi).points) == (np.float32(0.1), np.float32(1 / 3))


def test_a_name_is_macroman_and_at_most_256_characters_but_for_text(pencil):
    answer, _ = pencil.draw(11, points=TRIANGLE, name="é" * 300)
    assert pencil.stub.ROIName(answer.roi).name == "√©" * 128
    pencil.stub.ROISetName(roi_pb2.ROISetNameRequest(roi=answer.roi, name="Ω"))
    assert pencil.stub.ROIName(answer.roi).name == "Œ©"
    answer, _ = pencil.draw(13, rect=(1, 1, 0, 0), name="x" * 300)
    assert len(pencil.stub.ROIName(answer.roi).name) == 300


# -- pens --------------------------------------------------------------------------------------------------------
STYLE = {"color": Colour(r=9, g=8, b=7), "thickness": 6.0, "opacity": 0.25}
LEAKED = Pen((9, 8, 7), 6.0, 0.25)
PENS = factory_pens()


@pytest.mark.parametrize(
    ("itype", "what", "expected"),
    [
        (11, {"points": TRIANGLE}, {"others": LEAKED}),
        (19, {"rect": (5, 5, 0, 0)}, {"others": LEAKED}),
        (20, {"brush": PAINTED}, {"brush": LEAKED}),
        (13, {"rect": (5, 5, 0, 0)}, {"text": LEAKED}),
        (14, {"points": TRIANGLE[:2]}, {"others": Pen((9, 8, 7), 2.0, 0.25), "arrow": Pen(thickness=6.0)}),
        (29, {"points": [*TRIANGLE] * 2}, {"others": Pen((9, 8, 7), 2.0, 0.25), "text": Pen((255, 255, 0), 6.0)}),
    ],
)
def test_new_roi_leaks_into_the_pen_of_its_class(pencil, hospital, itype, what, expected):
    pencil.draw(itype, **what, **STYLE)
    assert hospital.app.pens == {**PENS, **expected}


def test_what_she_draws_takes_the_pen_of_its_class(pencil, hospital):
    pencil.draw(11, points=TRIANGLE, **STYLE)
    hers = hospital.clinician.box((1, 1), (5, 5))
    assert Pen(hers.color, hers.thickness, hers.opacity) == LEAKED
    assert hospital.clinician.brush(PAINTED).color == PENS["brush"].color
    assert hospital.clinician.text((3, 3), "words").color == PENS["text"].color


def test_style_calls_set_the_pen_too(pencil, hospital):
    answer, _ = pencil.draw(20, brush=PAINTED)
    pencil.stub.ROISetColor(roi_pb2.ROISetColorRequest(roi=answer.roi, r=1, g=2, b=3))
    pencil.stub.ROISetThickness(roi_pb2.ROISetThicknessRequest(roi=answer.roi, thickness=4))
    pencil.stub.ROISetOpacity(roi_pb2.ROISetOpacityRequest(roi=answer.roi, opacity=0.75))
    assert hospital.app.pens == {**PENS, "brush": Pen((1, 2, 3), 4.0, 0.75)}


# -- points of each kind -----------------------------------------------------------------------------------------
def read(pencil, roi) -> np.ndarray:
    return np.array([(p.x, p.y) for p in pencil.stub.ROIPoints(pencil.ref(roi)).points]).reshape(-1, 2)


def test_an_oval_answers_200_samples_of_centre_and_radii(pencil):
    for itype in (9, 31):
        _, roi = pencil.draw(itype, rect=(20, 15, 6, 3))
        points = read(pencil, roi)
        assert points.shape == (200, 2)
        assert points[[0, 50, 100, 150]] == pytest.approx(np.array([(26, 15), (20, 18), (14, 15), (20, 12)]))


def test_a_point_answers_its_place_and_a_text_nothing(pencil):
    assert read(pencil, pencil.draw(19, rect=(7.25, 8.5, 3, 3))[1]).tolist() == [[7.25, 8.5]]
    assert read(pencil, pencil.draw(13, rect=(7, 8, 0, 0), name="x")[1]).tolist() == []


def test_a_brush_answers_its_largest_region_half_a_pixel_off(pencil):
    mask = np.zeros((40, 40), bool)
    mask[2:5, 2:5] = mask[10:36, 8:38] = True
    mask[15:20, 15:20] = False
    points = read(pencil, pencil.draw(20, brush=mask, at=(3, 1))[1])
    assert 3 < len(points) <= 101
    assert points.min(0) == pytest.approx([8 + 3 - 0.5, 10 + 1 - 0.5])  # its edge is at 11, 11 in ROI coordinates
    assert points.max(0) == pytest.approx([37 + 3 + 0.5, 35 + 1 + 0.5])
    assert not ((points > 15 + 3).all(1) & (points < 19 + 3).all(1)).any()  # no hole


@pytest.mark.parametrize(
    "what", [(6, {"rect": (3, 4, 5, 6)}), (9, {"rect": (9, 9, 2, 2)}), (31, {"rect": (9, 9, 2, 2)}),
             (19, {"rect": (3, 4, 0, 0)}), (20, {"brush": PAINTED})],
)  # fmt: skip
def test_set_points_says_done_and_does_nothing_where_osirix_does_nothing(pencil, what):
    _, roi = pencil.draw(what[0], **what[1])
    before = read(pencil, roi)
    request = roi_pb2.ROISetPointsRequest(roi=pencil.ref(roi))
    request.points.add(x=1, y=2)
    assert pencil.stub.ROISetPoints(request).status.status == 1
    assert np.array_equal(read(pencil, roi), before)


def test_a_locked_roi_stays_where_it_is(pencil):
    _, roi = pencil.draw(11, points=SQUARE)
    roi.locked = True
    request = roi_pb2.ROISetPointsRequest(roi=pencil.ref(roi))
    request.points.add(x=1, y=2)
    pencil.stub.ROISetPoints(request)
    pencil.stub.ROIMove(roi_pb2.ROIMoveRequest(roi=pencil.ref(roi), columns=5, rows=5))
    pencil.stub.ROIRotate(roi_pb2.ROIRotateRequest(roi=pencil.ref(roi), degrees=30, x=1, y=1))
    pencil.stub.ROIFlipHorizontally(pencil.ref(roi))
    assert read(pencil, roi).tolist() == [list(p) for p in SQUARE]


# -- moving and turning (figures of the plugin's own tests on OsiriX) --------------------------------------------
def test_move_flip_and_rotate(pencil):
    square = [(10.5, 10.5), (50.5, 10.5), (50.5, 50.5), (10.5, 50.5)]
    _, roi = pencil.draw(11, points=square)
    ref = pencil.ref(roi)
    assert (pencil.stub.ROICentroid(ref).x, pencil.stub.ROICentroid(ref).y) == (30.5, 30.5)
    pencil.stub.ROIFlipHorizontally(ref)
    assert read(pencil, roi).tolist() == [[50.5, 10.5], [10.5, 10.5], [10.5, 50.5], [50.5, 50.5]]
    pencil.stub.ROIFlipHorizontally(ref)
    pencil.stub.ROIFlipVertically(ref)
    assert read(pencil, roi).tolist() == [[10.5, 50.5], [50.5, 50.5], [50.5, 10.5], [10.5, 10.5]]
    pencil.stub.ROIFlipVertically(ref)
    pencil.stub.ROIMove(roi_pb2.ROIMoveRequest(roi=ref, columns=10.5, rows=5.5))
    assert read(pencil, roi).tolist() == [[21, 16], [61, 16], [61, 56], [21, 56]]
    pencil.stub.ROIMove(roi_pb2.ROIMoveRequest(roi=ref, columns=-10.5, rows=-5.5))
    pencil.stub.ROIRotate(roi_pb2.ROIRotateRequest(roi=ref, degrees=90, x=30.5, y=30.5))
    assert read(pencil, roi) == pytest.approx(np.array([(50.5, 10.5), (50.5, 50.5), (10.5, 50.5), (10.5, 10.5)]))


def test_a_rotated_rectangle_is_a_polygon_from_then_on(pencil):
    _, roi = pencil.draw(6, rect=(10, 10, 4, 2))
    pencil.stub.ROIRotate(roi_pb2.ROIRotateRequest(roi=pencil.ref(roi), degrees=90, x=10, y=10))
    assert pencil.stub.ROIIType(pencil.ref(roi)).itype == 11
    assert read(pencil, roi) == pytest.approx(np.array([(10, 10), (8, 10), (8, 14), (10, 14)]), abs=1e-5)


def test_a_brush_moves_by_whole_pixels_cut_down(pencil):
    _, roi = pencil.draw(20, brush=PAINTED, at=(5, 6))
    pencil.stub.ROIMove(roi_pb2.ROIMoveRequest(roi=pencil.ref(roi), columns=2.9, rows=-2.9))
    assert roi.texture_xy == (7, 4)


def test_area_is_in_cm2_of_the_displayed_slices_spacing(pencil, hospital):
    _, roi = pencil.draw(11, points=SQUARE)
    assert pencil.stub.ROIArea(pencil.ref(roi)).area == pytest.approx(30 * 20 * 2 * 2 / 100)
    hospital.window.pixes[0][3].spacing_rows = 9.0  # slice 3 is not the displayed one
    assert pencil.stub.ROIArea(pencil.ref(roi)).area == pytest.approx(24)
    assert pencil.stub.ROIArea(pencil.draw(20, brush=PAINTED)[0].roi).area == pytest.approx(4 * 2 * 2 / 100)
    assert pencil.stub.ROIArea(pencil.draw(9, rect=(20, 20, 3, 5))[0].roi).area == pytest.approx(np.pi * 15 * 4 / 100)
    assert pencil.stub.ROIArea(pencil.draw(12, points=TRIANGLE)[0].roi).area == 0


def test_roi_pix_is_the_slice_it_was_made_on(pencil, hospital):
    answer, _ = pencil.draw(11, points=TRIANGLE, idx=7)
    pix = pencil.stub.ROIPix(answer.roi).pix.osirixrpc_uid
    assert hospital.app.cached_object(pix) is hospital.window.pixes[0][7]
