"""A request on the wire, and the volume that it is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic import ValidationError

from osirix_agent.errors import DamagedError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointLps,
    PointPrompt,
    Polarity,
    Prompt,
    ScribblePrompt,
    ShapePrompt,
    TextPrompt,
)
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest
from osirix_agent.segmenter.wire import segmenter_pb2 as pb
from osirix_agent.segmenter.wire.belief import read_excluded, write_excluded

UPDATE = "Update osirix-agent on both machines to the same version."


def write_request(request: SegmentationRequest, lease: bytes) -> pb.Request:
    return pb.Request(
        lease=lease, volume=request.volume.digest, structure=request.structure,
        prompts=[_write_prompt(p) for p in request.prompts],
        fixed=[pb.FixedSlice(k=f.k, rings=[_ring(r) for r in f.rings_lps]) for f in request.fixed],
        excluded=[write_excluded(b) for b in request.excluded], digest=request.digest,
    )  # fmt: skip


def read_request(message: pb.Request, volume: Volume) -> SegmentationRequest:
    """The request of a message, about a volume that is here.

    Raises
    ------
    DamagedError
        It is not what was sent.
    """
    try:
        prompts = tuple(_read_prompt(p) for p in message.prompts)
        fixed = tuple(FixedSlice(k=f.k, rings_lps=tuple(_points(r) for r in f.rings)) for f in message.fixed)
    except ValidationError:
        raise DamagedError("The request holds a prompt that is none.", UPDATE) from None
    excluded = tuple(read_excluded(e, volume.geometry.shape_kji) for e in message.excluded)
    request = SegmentationRequest(volume, message.structure, prompts, fixed, excluded)
    if request.digest != message.digest:
        raise DamagedError("The request did not arrive as it was sent.", UPDATE)
    return request


def _write_prompt(prompt: Prompt) -> pb.Prompt:
    exclude = prompt.polarity is Polarity.EXCLUDE
    match prompt:
        case PointPrompt():
            return pb.Prompt(exclude=exclude, point=_ring([prompt.position_lps]))
        case BoxPrompt():
            return pb.Prompt(exclude=exclude, box=_ring(prompt.corners_lps))
        case ScribblePrompt():
            return pb.Prompt(exclude=exclude, scribble=_ring(prompt.points_lps))
        case LassoPrompt():
            return pb.Prompt(exclude=exclude, lasso=pb.Rings(rings=[_ring(r) for r in prompt.rings_lps]))
        case MaskPrompt():
            return pb.Prompt(exclude=exclude, mask=pb.Mask(slices=[_write_prompt(s) for s in prompt.slices]))
        case TextPrompt():
            return pb.Prompt(exclude=exclude, phrase=prompt.phrase)
        case ShapePrompt():
            raise TypeError("an edit in words is carried out here (segmenter/edited); no segmenter is asked for it")


def _read_prompt(message: pb.Prompt) -> Prompt:
    """Raises pydantic's ValidationError for what is no prompt."""
    given: dict[str, Any] = {"polarity": Polarity.EXCLUDE if message.exclude else Polarity.INCLUDE}
    match message.WhichOneof("kind"):
        case "point":
            return PointPrompt(position_lps=(_points(message.point) or ((),))[0], **given)  # type: ignore[arg-type]
        case "box":
            return BoxPrompt(corners_lps=_points(message.box), **given)  # type: ignore[arg-type]
        case "scribble":
            return ScribblePrompt(points_lps=_points(message.scribble), **given)
        case "lasso":
            return LassoPrompt(rings_lps=tuple(_points(r) for r in message.lasso.rings), **given)
        case "mask":
            slices = (_read_prompt(s) for s in message.mask.slices)
            return MaskPrompt(slices=tuple(s for s in slices if isinstance(s, LassoPrompt)), **given)
        case "phrase":
            return TextPrompt(phrase=message.phrase, **given)
        case _:
            raise DamagedError("The request holds a kind of prompt that is not known here.", UPDATE)


def _ring(points: Iterable[PointLps]) -> pb.Ring:
    return pb.Ring(xyz_lps=[v for point in points for v in point])


def _points(ring: pb.Ring) -> tuple[PointLps, ...]:
    if len(ring.xyz_lps) % 3:
        raise DamagedError("The request holds a point without three coordinates.", UPDATE)
    values = iter(ring.xyz_lps)
    return tuple(zip(values, values, values, strict=True))


def write_header(volume: Volume) -> pb.VolumeHeader:
    geometry = volume.geometry
    return pb.VolumeHeader(
        digest=volume.digest, shape_kji=geometry.shape_kji, origin_lps=geometry.origin_lps,
        spacing_kji_mm=geometry.spacing_kji_mm, axes_lps=[v for axis in geometry.axes_lps for v in axis],
        modality=volume.modality,
    )  # fmt: skip


def read_geometry(header: pb.VolumeHeader) -> Geometry:
    """The geometry of a header.

    Raises
    ------
    DamagedError
    """
    numbers = [*header.origin_lps, *header.spacing_kji_mm, *header.axes_lps]
    lengths = (len(header.shape_kji), len(header.origin_lps), len(header.spacing_kji_mm), len(header.axes_lps))
    if lengths != (3, 3, 3, 9) or not np.isfinite(numbers).all() or min(header.shape_kji) < 1:
        raise DamagedError("The volume's geometry is none.", UPDATE)
    k, j, i = header.shape_kji
    axes = [(a, b, c) for a, b, c in zip(*[iter(header.axes_lps)] * 3, strict=True)]
    x, y, z = header.origin_lps
    dk, dj, di = header.spacing_kji_mm
    return Geometry((k, j, i), (x, y, z), (dk, dj, di), (axes[0], axes[1], axes[2]))
