"""A foreign witness: pyosirix, unmodified, reads and draws."""

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it connects on import, and warns that nothing answers
    osirix = pytest.importorskip("osirix")


@pytest.fixture
def theirs(hospital):
    host, port = hospital.server.address.split(":")
    service = osirix.osirix_utilities.OsirixService(domain=host, port=int(port))
    service.start_service()
    yield osirix.osirix_utilities.Osirix(service).frontmost_viewer()
    service.channel.close()


def test_it_sees_our_pixels_and_geometry(theirs, phantom):
    pixes = theirs.pix_list(0)
    assert np.array_equal(np.stack([pix.image for pix in pixes]), phantom.image)
    assert tuple(pixes[1].origin) == pytest.approx((-120.0, -110.0, -57.0))


def test_it_draws_and_reads_back(theirs, hospital):
    points = np.array([(5.0, 5.0), (15.0, 5.0), (15.0, 12.0)])
    theirs.new_polygon_roi(points, name="theirs", idx=4)
    (roi,) = hospital.clinician.rois(4)
    assert roi.name == "theirs"
    assert np.allclose(theirs.roi_list(0)[4][0].points, points)
