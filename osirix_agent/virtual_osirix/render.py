"""What the clinician would see: the displayed slice with its ROIs, as a picture."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw

from osirix_agent.virtual_osirix.app import Viewer
from osirix_agent.virtual_osirix.roi import Roi, ToolMode

OPEN_TYPES = {ToolMode.OPEN_POLYGON, ToolMode.MEASURE, ToolMode.ARROW, ToolMode.ANGLE}


def render(viewer: Viewer, *, k: int | None = None, size: int = 640, caption: str = "") -> Image.Image:
    """RGB picture of slice `k` (the displayed one by default), ROIs drawn with their colour, thickness and opacity.

    Parameters
    ----------
    size : int
        Pixels of the longer side; the image is scaled to square pixels.
    caption : str
        Below the picture, on as many lines as it needs.
    """
    frame = viewer.movie_index
    k = viewer.index if k is None else k
    pix = viewer.pixes[frame][k]
    level, width = viewer.wlww
    if pix.is_rgb:
        base = Image.fromarray(pix.image)
    else:
        grey = np.clip((pix.image - (level - width / 2)) / max(width, 1e-6) * 255, 0, 255)
        base = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    tall = pix.rows * (pix.spacing_rows or 1.0)
    wide = pix.columns * (pix.spacing_columns or 1.0)
    scale = size / max(tall, wide)
    shape = (max(1, round(wide * scale)), max(1, round(tall * scale)))
    per_px = (shape[0] / pix.columns, shape[1] / pix.rows)
    picture = base.resize(shape, Image.Resampling.BICUBIC).convert("RGBA")
    for roi in (roi for roi in viewer.rois[frame][k] if roi.seen):
        picture = Image.alpha_composite(picture, _layer(roi, pix.rows, pix.columns, shape, per_px))
    lines = wrap(caption, max(20, (shape[0] - 16) // 6)) or [""]  # a letter is some six pixels wide
    out = Image.new("RGB", (shape[0], shape[1] + 24 + 16 * len(lines)), (16, 16, 18))
    out.paste(picture.convert("RGB"), (0, 0))
    shown = (len(viewer.pixes[frame]) - k) if viewer.flipped else k + 1
    pen = ImageDraw.Draw(out)
    pen.text((8, shape[1] + 4), f"slice {shown} of {len(viewer.pixes[frame])}", fill=(150, 150, 155))
    pen.multiline_text((8, shape[1] + 20), "\n".join(lines), fill=(230, 230, 230))
    return out


def save_picture(viewer: Viewer, path: Path, *, k: int | None = None, size: int = 640, caption: str = "") -> None:
    render(viewer, k=k, size=size, caption=caption).save(path)


def _layer(roi: Roi, rows: int, columns: int, shape: tuple[int, int], per_px: tuple[float, float]) -> Image.Image:
    grow = 2  # drawn at twice the size, then averaged: smooth lines
    big = (shape[0] * grow, shape[1] * grow)
    layer = Image.new("RGBA", big, (*roi.color, 0))
    pen = ImageDraw.Draw(layer)
    alpha = round(255 * float(np.clip(roi.opacity, 0, 1)))
    ink = (*roi.color, alpha)
    stroke = max(1, round(roi.thickness * grow))
    if roi.itype == ToolMode.BRUSH:
        held = Image.fromarray(roi.map(rows, columns).astype(np.uint8) * alpha).resize(big, Image.Resampling.NEAREST)
        layer.putalpha(held)
        return layer.resize(shape, Image.Resampling.BOX)
    anchor = np.array([roi.rect[:2]]) if roi.itype == ToolMode.TEXT else roi.service_points().astype(float)
    points = anchor * (per_px[0] * grow, per_px[1] * grow)
    line = [(float(x), float(y)) for x, y in points]
    if roi.itype in (ToolMode.POINT, ToolMode.TEXT):
        x, y = line[0]
        r = 4 * grow
        pen.ellipse([x - r, y - r, x + r, y + r], outline=ink, width=stroke)
        pen.line([(x - 2 * r, y), (x + 2 * r, y)], fill=ink, width=grow)
        pen.line([(x, y - 2 * r), (x, y + 2 * r)], fill=ink, width=grow)
    elif len(line) >= 2:
        pen.line(line if roi.itype in OPEN_TYPES else [*line, line[0]], fill=ink, width=stroke, joint="curve")
    if line and roi.itype != ToolMode.BRUSH:
        x, y = max(line, key=lambda p: (p[0], -p[1]))
        if roi.thickness >= 2 and roi.name:
            pen.text((x + 6 * grow, y - 6 * grow), roi.name[:40], fill=ink, font_size=11 * grow)
    return layer.resize(shape, Image.Resampling.BOX)
