"""The osirixgrpc service over a `VirtualOsirix`: slices and ROIs."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from osirixgrpc import dcmpix_pb2, roi_pb2, types_pb2

from osirix_agent.virtual_osirix.pix import Pix
from osirix_agent.virtual_osirix.roi import FILLABLE
from osirix_agent.virtual_osirix.service import ServiceBase, StatusError, byte, done, mac_roman, ok


class PixService(ServiceBase):
    """DCMPix* calls that need no database."""

    def DCMPixIsRGB(self, request: Any) -> Any:
        return ok(dcmpix_pb2.DCMPixIsRGBResponse, is_rgb=self._pix(request).is_rgb)

    def DCMPixShape(self, request: Any) -> Any:
        pix = self._pix(request)
        return ok(dcmpix_pb2.DCMPixShapeResponse, rows=pix.rows, columns=pix.columns)

    def DCMPixSpacing(self, request: Any) -> Any:
        pix = self._pix(request)
        return ok(
            dcmpix_pb2.DCMPixSpacingResponse,
            spacing_rows=pix.spacing_rows,
            spacing_columns=pix.spacing_columns,
        )

    def DCMPixOrigin(self, request: Any) -> Any:
        """float32."""
        x, y, z = (float(v) for v in self._pix(request).origin)
        return ok(dcmpix_pb2.DCMPixOriginResponse, origin_x=x, origin_y=y, origin_z=z)

    def DCMPixOrientation(self, request: Any) -> Any:
        """Nine numbers: rows, columns, normal."""
        pix = self._pix(request)
        normal = np.cross(pix.row_cosines, pix.column_cosines)
        nine = [float(v) for v in (*pix.row_cosines, *pix.column_cosines, *normal)]
        return ok(dcmpix_pb2.DCMPixOrientationResponse, orientation=nine)

    def DCMPixSliceLocation(self, request: Any) -> Any:
        """OsiriX's own figure: not for geometry."""
        where = self._pix(request).slice_location
        return ok(dcmpix_pb2.DCMPixSliceLocationResponse, slice_location=where)

    def DCMPixSourceFile(self, request: Any) -> Any:
        return ok(dcmpix_pb2.DCMPixSourceFileResponse, source_file=str(self._pix(request).source.path))

    def DCMPixImage(self, request: Any) -> bytes:
        """Rescaled float32 row by row; colour as A, R, G, B."""
        pix = self._pix(request)
        if pix.payload is None:
            pix.payload = _image_payload(pix)
        return pix.payload

    def DCMPixSetImage(self, request: Any) -> Any:
        """Changes the viewer's pixels, never the file."""
        pix = self._pix(request.pix)
        if pix.is_rgb:
            values = np.array(request.image_data_argb, np.int32)
            if values.size != pix.rows * pix.columns * 4:
                raise StatusError("Incompatible image shape")
            pix.image = values.reshape(pix.rows, pix.columns, 4)[..., 1:].astype(np.uint8)
        else:
            values = np.array(request.image_data_float, np.float32)
            if values.size != pix.rows * pix.columns:
                raise StatusError("Incompatible image shape")
            pix.image = values.reshape(pix.rows, pix.columns)
        pix.payload = None
        return done()

    def DCMPixConvertToRGB(self, request: Any) -> Any:
        """Windowed from lowest to highest value; an all-negative slice from its lowest to 0 (a bug of the service)."""
        pix = self._pix(request.pix)
        if pix.is_rgb:
            raise StatusError("Data already RGB")
        if not 0 <= request.rgb_channel <= 3:
            raise StatusError("Requested RGB type not understood")
        low = float(pix.image.min())
        high = max(float(np.finfo(np.float32).tiny), float(pix.image.max()))  # the search begins at FLT_MIN, above 0
        level, width = int((low + high) / 2), max(int(high - low), 1)  # handed on as whole numbers
        grey = np.clip((pix.image - (level - width / 2)) / width * 255, 0, 255).astype(np.uint8)
        colour = np.zeros((*grey.shape, 3), np.uint8)
        for channel in range(3) if request.rgb_channel == 3 else [request.rgb_channel]:
            colour[..., channel] = grey
        pix.image, pix.payload = colour, None
        return done()

    def DCMPixConvertToBW(self, request: Any) -> Any:
        pix = self._pix(request.pix)
        if not pix.is_rgb:
            raise StatusError("Data already BW")
        if not 0 <= request.bw_channel <= 3:
            raise StatusError("Requested BW type not understood")
        grey = pix.image.mean(-1) if request.bw_channel == 3 else pix.image[..., request.bw_channel]
        pix.image, pix.payload = grey.astype(np.float32), None
        return done()

    def DCMPixGetMapFromROI(self, request: Any) -> Any:
        """Exact for a brush; a polygon's lies about a pixel too far right and down."""
        pix, roi = self._pix(request.pix), self._roi(request.roi)
        if roi.itype not in FILLABLE:
            raise StatusError("Invalid ROI")
        held = roi.map(pix.rows, pix.columns, self.app.pixel_centre, exact=self.app.exact_maps)
        return ok(
            dcmpix_pb2.DCMPixGetMapFromROIResponse,
            rows=pix.rows,
            columns=pix.columns,
            map=held.ravel().tolist(),
        )

    def DCMPixComputeROI(self, request: Any) -> Any:
        """Deviation over n, skewness and excess kurtosis over n - 1, as OsiriX was seen to answer."""
        values, _, _ = self._roi_values(request)
        if values.size == 0:
            return ok(dcmpix_pb2.DCMPixComputeROIResponse)
        centred = values - values.mean()
        skewness, kurtosis = _sample_moments(centred)
        return ok(
            dcmpix_pb2.DCMPixComputeROIResponse,
            mean=float(values.mean()), total=float(values.sum()), std_dev=float(values.std()),
            min=float(values.min()), max=float(values.max()), skewness=skewness, kurtosis=kurtosis,
        )  # fmt: skip

    def DCMPixROIValues(self, request: Any) -> Any:
        """Grey slices only; a point gives its own pixel."""
        values, rows, columns = self._roi_values(request)
        return ok(
            dcmpix_pb2.DCMPixROIValuesResponse,
            values=values.tolist(), row_indices=rows.tolist(), column_indices=columns.tolist(),
        )  # fmt: skip

    def _roi_values(self, request: Any) -> tuple[Any, Any, Any]:
        pix, roi = self._pix(request.pix), self._roi(request.roi)
        if pix.is_rgb:
            raise StatusError("No values provided for RGB pix")
        rows, columns = np.nonzero(roi.covered(pix.rows, pix.columns, self.app.pixel_centre))
        return pix.image[rows, columns].astype(float), rows, columns


class RoiService(ServiceBase):
    """ROI* calls."""

    def ROIDelete(self, request: Any) -> Any:
        """Its uid dies: a second call answers `No ROI cached`. Ends what she is drawing on the displayed slice."""
        roi = self._roi(request)
        held = self.app.viewer_of(roi)
        self.app.delete_roi(roi)
        for other in held[0].current_rois if held else ():
            other.drawing = other.modifying = False
        return done()

    def ROIFlipHorizontally(self, request: Any) -> Any:
        self._roi(request).flip(0)
        return done()

    def ROIFlipVertically(self, request: Any) -> Any:
        self._roi(request).flip(1)
        return done()

    def ROIArea(self, request: Any) -> Any:
        """cm2, of the straight-sided polygon."""
        return ok(roi_pb2.ROIAreaResponse, area=self._roi(request).area_cm2())

    def ROICentroid(self, request: Any) -> Any:
        x, y = self._roi(request).centroid()
        return ok(roi_pb2.ROICentroidResponse, x=x, y=y)

    def ROIRotate(self, request: Any) -> Any:
        self._roi(request.roi).rotate(request.degrees, request.x, request.y)
        return done()

    def ROIMove(self, request: Any) -> Any:
        """A brush by whole pixels, cut down."""
        self._roi(request.roi).move(request.columns, request.rows)
        return done()

    def ROIPix(self, request: Any) -> Any:
        return ok(roi_pb2.ROIPixResponse, pix=self._ref(types_pb2.DCMPix, self._roi(request).pix))

    def ROIName(self, request: Any) -> Any:
        return ok(roi_pb2.ROINameResponse, name=self._roi(request).name)

    def ROISetName(self, request: Any) -> Any:
        """UTF-8 is read as MacRoman: `é` becomes `√©`."""
        self._roi(request.roi).set_name(mac_roman(request.name))
        return done()

    def ROIIType(self, request: Any) -> Any:
        return ok(roi_pb2.ROIITypeResponse, itype=self._roi(request).itype)

    def ROIColor(self, request: Any) -> Any:
        r, g, b = self._roi(request).color
        return ok(roi_pb2.ROIColorResponse, r=r, g=g, b=b)

    def ROISetColor(self, request: Any) -> Any:
        """Sets the pen as well."""
        roi = self._roi(request.roi)
        roi.color = (byte(request.r), byte(request.g), byte(request.b))
        self.app.leak_style(roi)
        return done()

    def ROIOpacity(self, request: Any) -> Any:
        return ok(roi_pb2.ROIOpacityResponse, opacity=self._roi(request).opacity)

    def ROISetOpacity(self, request: Any) -> Any:
        """Sets the pen as well; clamped to 0..1."""
        roi = self._roi(request.roi)
        roi.opacity = float(np.clip(request.opacity, 0, 1))
        self.app.leak_style(roi)
        return done()

    def ROIThickness(self, request: Any) -> Any:
        return ok(roi_pb2.ROIThicknessResponse, thickness=self._roi(request).thickness)

    def ROISetThickness(self, request: Any) -> Any:
        """Sets the pen as well; whole numbers from 1 to 20."""
        roi = self._roi(request.roi)
        roi.set_thickness(request.thickness)
        self.app.leak_style(roi)
        return done()

    def ROIPoints(self, request: Any) -> Any:
        """An oval as 200 samples; a brush as its largest region's outline in pixel indices (never to be used)."""
        answer = ok(roi_pb2.ROIPointsResponse)
        for x, y in self._roi(request).service_points().tolist():
            answer.points.add(x=x, y=y)
        return answer

    def ROISetPoints(self, request: Any) -> Any:
        """Silently nothing for rectangles, ovals, points, brushes and locked ROIs."""
        points = np.array([(p.x, p.y) for p in request.points], np.float32).reshape(-1, 2)
        self._roi(request.roi).set_points(points)
        return done()


def _sample_moments(centred: Any) -> tuple[float, float]:
    """Skewness and excess kurtosis, both over n - 1."""
    if centred.size < 2 or not centred.any():
        return 0.0, 0.0
    second, third, fourth = ((centred**n).sum() / (centred.size - 1) for n in (2, 3, 4))
    return float(third / second**1.5), float(fourth / second**2 - 3)


def _image_payload(pix: Pix) -> bytes:
    """The serialised DCMPixImage answer, built from the wire format so that a slice costs a memory copy."""
    head = ok(dcmpix_pb2.DCMPixImageResponse, rows=pix.rows, columns=pix.columns, is_argb=pix.is_rgb)
    if pix.is_rgb:
        alpha = np.full((*pix.image.shape[:2], 1), 255, np.int32)
        head.image_data_argb.extend(np.concatenate([alpha, pix.image.astype(np.int32)], -1).ravel().tolist())
        return bytes(head.SerializeToString())
    field = dcmpix_pb2.DCMPixImageResponse.DESCRIPTOR.fields_by_name["image_data_float"].number
    values = np.ascontiguousarray(pix.image, "<f4").tobytes()
    return bytes(head.SerializeToString()) + _varint(field << 3 | 2) + _varint(len(values)) + values


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += struct.pack("B", value & 0x7F | 0x80)
        value >>= 7
    return out + struct.pack("B", value)
