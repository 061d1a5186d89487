"""ROIs as the service's messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from osirixgrpc import viewercontroller_pb2

from osirix_agent.viewer.roi import RoiSpec, RoiType


def roi_points(answer: Any) -> npt.NDArray[np.float32]:
    """(n, 2) x, y of an ROIPoints answer."""
    return np.array([(p.x, p.y) for p in answer.points], np.float32).reshape(-1, 2)


def new_roi_request(viewer: Any, spec: RoiSpec) -> Any:
    """A NewROI request that says everything: the service has no defaults (opacity 0 is invisible)."""
    r, g, b = spec.style.color
    request = viewercontroller_pb2.ViewerControllerNewROIRequest(
        viewer_controller=viewer, itype=spec.itype, name=spec.name, idx=spec.k, movie_idx=0,
        thickness=spec.style.thickness, opacity=spec.style.opacity,
        color=viewercontroller_pb2.ViewerControllerNewROIRequest.Color(r=r, g=g, b=b),
    )  # fmt: skip
    points = spec.points_xy
    if spec.brush is not None:
        request.buffer.rows, request.buffer.columns = spec.brush.mask.shape
        request.buffer.buffer.extend(spec.brush.mask.ravel().tolist())
        request.buffer_position_x, request.buffer_position_y = spec.brush.corner
    elif spec.itype == RoiType.BOX:
        low, high = points.min(0), points.max(0)
        _set_rectangle(request, low, high - low)
    elif spec.itype == RoiType.OVAL:
        centre = points[[0, 100]].mean(0)
        _set_rectangle(request, centre, np.abs(points[[0, 50]] - centre).max(0))
    elif spec.itype == RoiType.POINT:
        _set_rectangle(request, points[0], np.zeros(2))
    else:
        for x, y in points.tolist():
            request.points.add(x=x, y=y)
    return request


def _set_rectangle(request: Any, origin: Any, size: Any) -> None:
    rectangle = request.rectangle
    rectangle.origin_x, rectangle.origin_y = float(origin[0]), float(origin[1])
    rectangle.width, rectangle.height = float(size[0]), float(size[1])
