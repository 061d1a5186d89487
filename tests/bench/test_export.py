import numpy as np
import pytest

from osirix_agent.bench import export


@pytest.mark.slow
def test_every_row_holds_on_one_oblique_study_read_backwards(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PIXELS_MM", (1.0,))
    figures = {figure.id: figure for figure in export.measure(tmp_path, 1, None, lambda: None)}
    assert list(figures) == ["rt.points.1mm", "rt.mask", "rt.mask.rtutils", "rt.valid"]
    for id_, figure in figures.items():
        if figure.value is None:  # rt-utils or dciodvfy is not installed: the row says so
            assert "not installed" in figure.note
        else:
            assert figure.holds, id_
    assert figures["rt.mask"].n > 10_000


def test_points_elsewhere_missing_or_on_another_slice_are_found():
    square = np.array([[0.0, 0.0], [0.0, 4.0], [4.0, 4.0], [4.0, 0.0]])
    assert export._apart_px([(3, square)], [(3.0, square)]) == 0
    assert export._apart_px([(3, square)], [(3.0, np.add(square, (0.3, 0.4)))]) == pytest.approx(0.5)
    assert export._apart_px([(3, square)], [(2.0, square)]) == 1
    assert export._apart_px([(3, square)], [(3.0, square[:3])]) == float("inf")
