"""What OsiriX itself says about ROIs of one slice: its maps, values and measures, for checking them against ours."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt
from osirixgrpc import dcmpix_pb2, types_pb2, viewercontroller_pb2

from osirix_agent.errors import ViewerClosedError
from osirix_agent.viewer.connection import OsirixConnection

PROBES = tuple((n + 0.5) / 10 for n in range(10))  # fractions of a pixel, none of them where a pixel can end


class RoiProbe:
    """Asks about ROIs on one slice of one viewer.

    Parameters
    ----------
    viewer_uid : str
    k : int
        Slice (data index).
    """

    def __init__(self, connection: OsirixConnection, viewer_uid: str, k: int) -> None:
        self._rpc = connection
        viewer = types_pb2.ViewerController(osirixrpc_uid=viewer_uid)
        request = viewercontroller_pb2.ViewerControllerPixListRequest(viewer_controller=viewer, movie_idx=0)
        self._pix = connection.call("ViewerControllerPixList", request).pix[k]

    def image(self) -> npt.NDArray[np.float32]:
        """(rows, columns) values of the slice."""
        answer = self._rpc.call("DCMPixImage", self._pix)
        return np.array(answer.image_data_float, np.float32).reshape(answer.rows, answer.columns)

    def map(self, roi_uid: str) -> npt.NDArray[np.bool_]:
        """(rows, columns) bool: OsiriX's own mask of a polygon or brush."""
        request = dcmpix_pb2.DCMPixGetMapFromROIRequest(pix=self._pix, roi=types_pb2.ROI(osirixrpc_uid=roi_uid))
        answer = self._rpc.call("DCMPixGetMapFromROI", request)
        return np.array(answer.map, np.bool_).reshape(answer.rows, answer.columns)

    def values(self, roi_uid: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """Rows, columns and values of the pixels that OsiriX counts to an ROI."""
        request = dcmpix_pb2.DCMPixROIValuesRequest(pix=self._pix, roi=types_pb2.ROI(osirixrpc_uid=roi_uid))
        answer = self._rpc.call("DCMPixROIValues", request)
        return (
            np.array(answer.row_indices, np.intp),
            np.array(answer.column_indices, np.intp),
            np.array(answer.values, np.float32),
        )

    def area_cm2(self, roi_uid: str) -> float:
        return float(self._rpc.call("ROIArea", types_pb2.ROI(osirixrpc_uid=roi_uid)).area)

    def is_on_this_slice(self, roi_uid: str) -> bool:
        """Does OsiriX tie the ROI to the slice it was drawn on?"""
        pix = self._rpc.call("ROIPix", types_pb2.ROI(osirixrpc_uid=roi_uid)).pix
        return bool(pix.osirixrpc_uid == self._pix.osirixrpc_uid)

    def delete(self, roi_uids: Sequence[str]) -> None:
        """Take ROIs away; one that is gone already is as good."""
        for uid in roi_uids:
            with suppress(ViewerClosedError):
                self._rpc.call("ROIDelete", types_pb2.ROI(osirixrpc_uid=uid))


def pixel_centre(base: int, found: Sequence[int]) -> float:
    """ROI coordinate of a pixel's centre, from the pixels that points at `base` + `PROBES` were found in.

    OsiriX takes a point at x to lie in pixel floor(x + 0.5 - h); over one pixel's width that is 0.5 - h above `base` on
    average.
    """
    return 0.5 - float(np.mean(np.asarray(found) - base))
