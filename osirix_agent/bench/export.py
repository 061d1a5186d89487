"""export: what is written for the clinic, read back by others and judged by a validator.

Structures with islands, holes and islands in holes are written on series of several pixel sizes, straight and oblique,
in both orders of slices, and read back by pydicom with SimpleITK's geometry, by rt-utils, and by our own reader.
SimpleITK has no filter that fills polygons: it places the points, scikit-image asks of each pixel's centre whether it
lies inside.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from scipy import ndimage

from osirix_agent.agent.recorded import open_viewers
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import OsirixAgentError
from osirix_agent.figures import Figure, failed
from osirix_agent.imaging.contour import FloatArray
from osirix_agent.imaging.drawn import drawn_rois
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.keyhole import keyholed
from osirix_agent.imaging.mask import dice
from osirix_agent.record.export.files import Formats, write_files
from osirix_agent.record.export.rtstruct import read_rtstruct
from osirix_agent.record.export.series import ImageSeries
from osirix_agent.record.export.structures import AcceptedStructure
from osirix_agent.settings import load_settings
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_study

PIXELS_MM = (0.3, 0.5, 1.0, 2.0, 4.0)
SHAPE_KJI = (7, 116, 116)  # rt-utils mixes up rows and columns, and their spacings: equal ones only
A, B = np.cos(np.radians(20.0)), np.sin(np.radians(20.0))
ORIENTATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"row_cosines": (A, B, 0.0), "column_cosines": (-0.8 * B, 0.8 * A, 0.6)},
)
NOW = datetime(2026, 1, 1)
REACH_POINTS_PX, REACH_DICE = 0.02, 0.97


@dataclass(frozen=True, eq=False)
class Written:
    """One exported study: the folder of its images, its files, what was written."""

    images: Path
    files: list[Path]
    series: ImageSeries
    structure: AcceptedStructure
    pixel_mm: float

    @property
    def polygons(self) -> list[tuple[int, FloatArray]]:
        """(slice, polygon) in the order of the file."""
        return [(k, ring) for k, rings in sorted(self.structure.rings_ji.items()) for ring in keyholed(rings)]


def measure(folder: Path, seed: int, dicom: Path | None, advance: Callable[[], object]) -> list[Figure]:
    """All rows.

    Parameters
    ----------
    dicom : a folder of further series, on which files are written for the validator too
    advance : told of each of `steps` done
    """
    studies = []
    for n, pixel_mm in enumerate(PIXELS_MM):
        for m, turned in enumerate(ORIENTATIONS):
            place = folder / f"{n}-{m}"
            studies.append(_study(place, pixel_mm, turned, np.random.default_rng((seed, n, m)), reverse=m == 1))
            advance()
    figures = _points(studies) + _masks(studies)
    files = [path for study in studies for path in study.files if path.suffix == ".dcm"]
    files += [path for study in studies for path in _appended(study)]
    if dicom is not None:
        files += _on_others(folder / "others", dicom)
    return [*figures, _valid(files, dicom)]


def steps() -> int:
    return len(PIXELS_MM) * len(ORIENTATIONS)


def _study(
    folder: Path, pixel_mm: float, turned: dict[str, Any], rng: np.random.Generator, *, reverse: bool
) -> Written:
    recipe = PhantomRecipe(SHAPE_KJI, (3.0, pixel_mm, pixel_mm), **turned)
    belief = _belief(rng)
    write_study(folder, np.zeros(SHAPE_KJI, np.int16), belief.mask(), recipe)
    paths = sorted((folder / "CT").iterdir(), reverse=reverse)
    heads = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    turn = np.array(heads[0].ImageOrientationPatient, float)
    geometry = Geometry.from_slices(
        [head.ImagePositionPatient for head in heads], turn[:3], turn[3:], pixel_mm, pixel_mm, *SHAPE_KJI[1:]
    )
    series = ImageSeries.read(paths, geometry)
    rings = {k: belief.isoline(k) for k in belief.slices()}
    structure = AcceptedStructure("GTVp", rings, belief=belief, made_by="bench")
    formats = Formats(seg=True, probabilities=True, bands=(5, 95))
    files = write_files(series, [structure], folder / "out", formats, NOW)
    return Written(folder / "CT", files, series, structure, pixel_mm)


def _belief(rng: np.random.Generator) -> Belief:
    """A body with rough edges, two holes, an island in one of them, and an island beside it."""
    k, j, i = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE_KJI), indexing="ij")
    rough = ndimage.gaussian_filter(rng.standard_normal(SHAPE_KJI), (1, 3, 3))
    rough *= 2 / rough.std()

    def ball(dj: float, di: float, radius: float) -> npt.NDArray[np.float64]:
        return np.asarray(radius - np.hypot(np.hypot(j - dj, i - di), 3 * k))

    field = np.minimum(ball(0, -8, 42) + rough, -ball(2, -18, 14))
    field = np.maximum(np.minimum(field, -ball(-4, 14, 9)), ball(2, -18, 6))
    field = np.maximum(field, ball(-20, 47, 9))
    return Belief(field.astype(np.float32), (0, 0, 0), SHAPE_KJI, "bench")


# -- points and masks ----------------------------------------------------------------------------------------
def _points(studies: Iterable[Written]) -> list[Figure]:
    readers: dict[str, Callable[[Written], list[tuple[float, FloatArray]]]] = {
        "pydicom": _by_pydicom, "rt-utils": _by_rt_utils, "our reader": _by_us
    }  # fmt: skip
    figures = []
    for pixel_mm in PIXELS_MM:
        id_, worst, notes, n = f"rt.points.{pixel_mm:g}mm", 0.0, [], 0
        here = [study for study in studies if study.pixel_mm == pixel_mm]
        try:
            for name, read in readers.items():
                apart = max(_apart_px(study.polygons, read(study)) for study in here)
                notes.append(f"{name} {apart:.2g}")
                worst = max(worst, apart)
            n = sum(len(ring) for study in here for _, ring in study.polygons)
        except ImportError as error:
            figures.append(
                failed(id_, "px", f"at most {REACH_POINTS_PX}", f"{error.name} is not installed (extra test)")
            )
            continue
        figures.append(Figure(id=id_, value=worst, unit="px", n=n, reach=f"at most {REACH_POINTS_PX}",
                              holds=worst <= REACH_POINTS_PX,
                              note=f"greatest distance of a point by reader: {', '.join(notes)}"))  # fmt: skip
    return figures


def _apart_px(wrote: list[tuple[int, FloatArray]], read: list[tuple[float, FloatArray]]) -> float:
    """Greatest distance of corresponding points in the plane, and of slices (in slices)."""
    if [len(ring) for _, ring in wrote] != [len(ring) for _, ring in read]:
        return float("inf")
    return max(
        max(float(np.linalg.norm(a - b, axis=1).max()), abs(k - m))
        for (k, a), (m, b) in zip(wrote, read, strict=True)
    )  # fmt: skip


def _contours(study: Written) -> Any:
    ds = pydicom.dcmread(study.files[0])
    return ds.ROIContourSequence[0].ContourSequence


def _by_pydicom(study: Written) -> list[tuple[float, FloatArray]]:
    """Points by pydicom, placed by SimpleITK."""
    image, turned_round = _sitk_image(study), study.series.geometry.axes_lps[0]
    normal = np.array(image.GetDirection()).reshape(3, 3)[:, 2]
    last = SHAPE_KJI[0] - 1 if np.dot(normal, turned_round) < 0 else 0
    found = []
    for contour in _contours(study):
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        index = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in points.tolist()])
        found.append((abs(last - float(index[:, 2].mean())), index[:, 1::-1]))
    return found


def _sitk_image(study: Written) -> Any:
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(study.images)))
    return reader.Execute()


def _by_rt_utils(study: Written) -> list[tuple[float, FloatArray]]:
    from rt_utils import image_helper

    heads = image_helper.load_sorted_image_series(str(study.images))
    matrix = image_helper.get_patient_to_pixel_transformation_matrix(heads)
    last = SHAPE_KJI[0] - 1 if heads[0].SOPInstanceUID != study.series.heads[0].SOPInstanceUID else 0
    found = []
    for contour in _contours(study):
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        index = image_helper.apply_transformation_to_3d_points(points, matrix)
        found.append((abs(last - float(index[:, 2].mean())), index[:, 1::-1]))
    return found


def _by_us(study: Written) -> list[tuple[float, FloatArray]]:
    one = drawn_rois(pydicom.dcmread(study.files[0]), study.series.geometry, study.series.frame_of_reference_uid)[0]
    return [(float(k), ring) for k, rings in sorted(one.rings_ji.items()) for ring in rings]


def _masks(studies: Iterable[Written]) -> list[Figure]:
    from skimage.measure import grid_points_in_poly

    different, total, shares = 0, 0, []
    try:
        for study in studies:
            ours = study.structure.mask(SHAPE_KJI)
            theirs = np.zeros(SHAPE_KJI, np.bool_)
            for k, ring in _by_pydicom(study):
                theirs[round(k)] ^= grid_points_in_poly(SHAPE_KJI[1:], ring)
            different += int(np.count_nonzero(ours != theirs))
            total += int(np.count_nonzero(ours))
            shares.append(dice(_rt_utils_mask(study), ours))
        worst = min(shares)
        other = Figure(
            id="rt.mask.rtutils", value=worst, unit="Dice", interval=(worst, max(shares)), n=len(shares),
            reach=f"at least {REACH_DICE}", holds=worst >= REACH_DICE,
            note="least and greatest of the studies; rt-utils rounds points to whole pixels and fills their border",
        )  # fmt: skip
    except ImportError as error:
        other = failed(
            "rt.mask.rtutils", "Dice", f"at least {REACH_DICE}", f"{error.name} is not installed (extra test)"
        )
    return [
        Figure(id="rt.mask", value=different, unit="voxels", n=total, reach="identical", holds=different == 0,
               note="voxels that differ; n: voxels of all masks together"),
        other,
    ]  # fmt: skip


def _missing(error: ImportError) -> str:
    return f"{error.name} is not installed (extra test)"


def _rt_utils_mask(study: Written) -> npt.NDArray[np.bool_]:
    from rt_utils import RTStructBuilder

    builder = RTStructBuilder.create_from(str(study.images), str(study.files[0]))
    mask = np.moveaxis(builder.get_roi_mask_by_name("GTVp"), 2, 0)
    first = builder.series_data[0].SOPInstanceUID
    return np.asarray(mask if first == study.series.heads[0].SOPInstanceUID else mask[::-1], bool)


# -- the validator -------------------------------------------------------------------------------------------
def _appended(study: Written) -> list[Path]:
    """The structure once more, behind the phantom's own and behind ours."""
    found = []
    for n, before in enumerate((study.images.parent / "RS.dcm", study.files[0])):
        out = study.images.parent / f"appended-{n}"
        found += write_files(study.series, [study.structure], out, Formats(append=before), NOW)
    return found


def _on_others(out: Path, dicom: Path) -> list[Path]:
    """New files on every usable series of a folder, and behind every RTSTRUCT that was drawn on one."""
    sets = [path for path in sorted(dicom.rglob("*")) if path.is_file() and _is_rtstruct(path)]
    found: list[Path] = []
    with open_viewers(dicom, load_settings()) as viewers:
        for n, viewer in enumerate(viewers):
            shape = viewer.pixels.geometry.shape_kji
            mask = np.zeros(shape, np.float32) - 4
            mask[shape[0] // 3 : -1, shape[1] // 3 : -3, shape[2] // 3 : -3] = 4
            belief = Belief(mask, (0, 0, 0), shape, "bench")
            rings = {k: belief.isoline(k) for k in belief.slices()}
            structure = AcceptedStructure("GTVp", rings, belief=belief, made_by="bench")
            try:
                series = ImageSeries.read(viewer.files, viewer.pixels.geometry)
                formats = Formats(seg=True, probabilities=True)
                found += write_files(series, [structure], out / f"{n}", formats, NOW)
            except OsirixAgentError:
                continue  # one without a frame of reference
            for m, path in enumerate(sets):
                try:
                    found += write_files(series, [structure], out / f"{n}-{m}", Formats(append=path), NOW)
                except OsirixAgentError:
                    continue  # it was drawn on another series
    return found


def _is_rtstruct(path: Path) -> bool:
    try:
        read_rtstruct(path)
    except OsirixAgentError:
        return False
    return True


def _valid(files: list[Path], dicom: Path | None) -> Figure:
    if shutil.which("dciodvfy") is None:
        return Figure(id="rt.valid", value=None, unit="errors", n=0, reach="no error of ours",
                      note="dciodvfy is not installed (Debian's dicom3tools)")  # fmt: skip
    theirs = set() if dicom is None else {
        line for path in sorted(dicom.rglob("*")) if path.is_file() for line in _complaints(path)
    }  # fmt: skip
    found = [line for path in files for line in _complaints(path) if line not in theirs]
    told = f"; {', '.join(sorted(set(found))[:3])}" if found else ""
    also = "" if dicom is None else "; errors that the folder's own files have are theirs"
    return Figure(id="rt.valid", value=len(found), unit="errors", n=len(files), reach="no error of ours",
                  holds=not found, note=f"dciodvfy on RTSTRUCT, new and appended, and SEG{also}{told}")  # fmt: skip


def _complaints(path: Path) -> list[str]:
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=120, errors="replace")
    return [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
