"""Images of a log's sessions, de-identified, under the pseudonyms of the log: the one way in which pixels leave.

PS3.15 Annex E, Basic Application Level Confidentiality Profile, with the option Retain Longitudinal Temporal
Information with Modified Dates (dates set back as the log's are). What the profile's table says of an attribute comes
from `dicom-anonymizer`; of what the table does not name, numbers, codes and UIDs stay, text and sequences go. That is
stricter than the profile, since scanners and archives put names where the standard expects none.

Pixels are not altered: images that say, or look as if, text is burnt into them are refused, and a head is a likeness.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID

from osirix_agent import __version__
from osirix_agent.errors import ExportError
from osirix_agent.record.console import Said
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.sessions import read_log
from osirix_agent.whole import whole

SLICE_CLASSES = {  # CT, MR and PET, of one slice each
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.128",
}
MAKERS = ("GE MEDICAL SYSTEMS", "SIEMENS", "SIEMENS HEALTHINEERS", "PHILIPS", "PHILIPS MEDICAL SYSTEMS", "TOSHIBA",
          "CANON_MEC", "CANON MEDICAL SYSTEMS", "HITACHI", "UIH", "ELEKTA", "VARIAN MEDICAL SYSTEMS", "VIEWRAY",
          "ACCURAY")  # fmt: skip
# type 2 in a CT, MR or PET image: there, if only empty
EMPTY = ("AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate", "PatientSex", "StudyDate",
         "StudyTime", "Manufacturer", "PositionReferenceIndicator")  # fmt: skip
DATED = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime", "StudyTime", "SeriesTime",
         "AcquisitionTime", "ContentTime", "RadiopharmaceuticalStartTime", "RadiopharmaceuticalStopTime",
         "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStopDateTime")  # fmt: skip
SEQUENCES = ("RadiopharmaceuticalInformationSequence", "EnergyWindowRangeSequence")  # numbers that a PET needs
EMPTIED = ("PatientOrientationCodeSequence", "PatientGantryRelationshipCodeSequence", "RadionuclideCodeSequence")
_STANDARD = "1.2.840.10008."
_METHOD = (("113100", "Basic Application Confidentiality Profile"),
           ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"))  # fmt: skip
_CODE = re.compile(r"[A-Z0-9 _]{0,16}")
_NUMBERS, _CODES = {"DS", "IS"}, {"CS"}
_BINARY_NUMBERS = {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "US or SS"}
_PIXELS = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}


@dataclass
class Deidentified:
    """What an export came to.

    Attributes
    ----------
    series : how many files of each series, by its pseudonym
    refused : why series were left out, by pseudonym
    """

    series: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def uid_of(pseudonym: str) -> str:
    """The UID that stands for a pseudonym of the log: 2.25. and its value as a decimal number."""
    return f"2.25.{int(pseudonym, 16)}"


def export_images(wanted: Iterable[str], folder: Path, out: Path, pseudonyms: Pseudonyms) -> Deidentified:
    """Write copies of the files of some series, `out`/SERIES/NNNNN.dcm.

    Parameters
    ----------
    wanted : pseudonyms of series
    folder : Path
        Where the originals are.

    Raises
    ------
    ExportError
        None of the series is there, none may leave, or the disk is full.
    """
    rules = _rules()
    found: dict[str, list[Path]] = {}
    series = set(wanted)
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        name = _series_of(path, pseudonyms)
        if name in series:
            found.setdefault(name, []).append(path)
    if not found:
        raise ExportError("No series of the log is there.", "Give the folder of the images that were contoured, and "
                          "--state-dir, where the site key is.")  # fmt: skip
    done = Deidentified()
    for name, paths in found.items():
        why = next((why for path in paths if (why := _refusal(path))), None)
        if why is not None:
            done.refused[name] = why
            continue
        for number, path in enumerate(paths, 1):
            ds = deidentified(dcmread(path), pseudonyms, rules)
            try:
                with disable_value_validation(), whole(out / name / f"{number:05d}.dcm") as beside:
                    ds.save_as(beside, enforce_file_format=True)
            except OSError as error:
                raise ExportError(
                    f"An image cannot be written ({error.strerror}).", "Free some disk space or choose another place."
                ) from None
        done.series[name] = len(paths)
    if not done.series:
        raise ExportError(
            f"None of the series may leave: {'; '.join(sorted(set(done.refused.values())))}.",
            "Remove what is burnt into the pixels, and state BurnedInAnnotation NO.",
        )
    return done


def images(log: Path, folder: Path, out: Path, state_dir: Path) -> Said:
    """The series of a log's sessions, as `osirix-agent log images` does and says it."""
    wanted = {session.started.series for session in read_log(log)}
    done = export_images(wanted, folder, out, Pseudonyms.at(state_dir))
    lines = [f"{out / name}: {count} images" for name, count in done.series.items()]
    lines += [f"{name} was left out: {why}." for name, why in done.refused.items()]
    missing = sorted(wanted - {*done.series, *done.refused})
    lines += [f"Not found: {name}" for name in missing]
    found = {"series": done.series, "refused": done.refused, "missing": missing,
             "uids": {name: uid_of(name) for name in done.series}}  # fmt: skip
    return Said(lines, found, not done.refused and not missing)


def _series_of(path: Path, pseudonyms: Pseudonyms) -> str | None:
    try:
        uid = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"]).get("SeriesInstanceUID")
    except (InvalidDicomError, OSError):
        return None
    return None if uid is None else pseudonyms.of(str(uid))


def _refusal(path: Path) -> str | None:
    """Why an image may not leave; None: it may."""
    ds = dcmread(path, stop_before_pixels=True)
    kinds = {str(kind).upper() for kind in ds.get("ImageType", None) or ()}
    if str(ds.get("BurnedInAnnotation", "NO")).upper() != "NO":
        return "its images say that text is burnt into them"
    if str(ds.get("SOPClassUID", "")) not in SLICE_CLASSES or kinds & {"SCREEN SAVE", "SECONDARY_FORM"}:
        return "its images are no single slices of CT, MR or PET, so text may be burnt into them"
    if ds.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        return "its images are in colour, so text may be burnt into them"
    return None


def _rules() -> dict[tuple[int, ...], str]:
    """What Table E.1-1 says, by tag: the name of what the library would do."""
    try:
        from dicomanonymizer.simpledicomanonymizer import initialize_actions_2024b
    except ImportError:
        raise ExportError("De-identifying needs the package dicom-anonymizer.",
                          "Install it with: pip install 'osirix-agent[study]'.") from None  # fmt: skip
    return {tag: action.__name__ for tag, action in initialize_actions_2024b().items()}


def deidentified(ds: Dataset, pseudonyms: Pseudonyms, rules: dict[tuple[int, ...], str] | None = None) -> Dataset:
    """A dataset without what identifies; what is given is not changed."""
    with disable_value_validation():  # its warnings quote what is in the images
        return _deidentified(ds, pseudonyms, _rules() if rules is None else rules)


def _deidentified(ds: Dataset, pseudonyms: Pseudonyms, rules: dict[tuple[int, ...], str]) -> Dataset:
    patient = pseudonyms.of(str(ds.get("PatientID", "") or ""))
    shift = timedelta(seconds=pseudonyms.shift_s(patient))
    made = _cleaned(ds, rules, lambda uid: uid_of(pseudonyms.of(uid)), shift)
    made.PatientID = made.PatientName = patient
    for keyword in EMPTY:
        if keyword not in made:
            setattr(made, keyword, "")
    maker = str(ds.get("Manufacturer", "")).upper()
    made.Manufacturer = maker if maker in MAKERS else ""
    made.PatientIdentityRemoved = "YES"
    made.LongitudinalTemporalInformationModified = "MODIFIED"
    made.DeidentificationMethod = f"osirix-agent {__version__}: PS3.15 2024b Table E.1-1, text removed"
    made.DeidentificationMethodCodeSequence = Sequence(_coded(value, meaning) for value, meaning in _METHOD)
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ds.file_meta.TransferSyntaxUID
    made.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    return made


def _coded(value: str, meaning: str) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, "DCM", meaning
    return ds


def _cleaned(
    ds: Dataset, rules: dict[tuple[int, ...], str], renamed: Callable[[str], str], shift: timedelta
) -> Dataset:
    made = Dataset()
    for element in _elements(ds):
        tag = element.tag
        if tag.is_private or tag.group in (0x0002, 0xFFFC) or 0x5000 <= tag.group < 0x6100:
            continue  # overlays and curves: text may be drawn in them
        rule = rules.get((tag.group, tag.element), "")
        if element.keyword in SEQUENCES:
            made[tag] = DataElement(tag, "SQ", Sequence(_cleaned(one, rules, renamed, shift) for one in element.value))
        elif element.keyword in EMPTIED:  # type 2 in a PET
            made[tag] = DataElement(tag, "SQ", Sequence())
        elif element.VR == "UI":
            made[tag] = DataElement(tag, "UI", _each(element.value, lambda u: u if _is_standard(u) else renamed(u)))
        elif element.keyword in DATED:
            made[tag] = DataElement(tag, element.VR, _shifted(element.VR, str(element.value), shift))
        elif rule == "keep" or not rule:
            if _may_stay(element):
                made[tag] = element
        elif rule in ("empty", "delete_or_empty") and element.VR != "SQ":
            made[tag] = DataElement(tag, element.VR, "")
    return made


def _elements(ds: Dataset) -> Iterator[DataElement]:
    for tag in ds.keys():  # noqa: SIM118 - a dataset iterates its elements, and stops at the first that cannot be read
        try:
            yield ds[BaseTag(tag)]
        except (ValueError, TypeError, NotImplementedError, KeyError):
            continue  # what cannot be read cannot be judged


def _may_stay(element: DataElement) -> bool:
    """Of an attribute that the table does not name: is it a number, a code, the pixels?"""
    values = element.value if element.VM > 1 else [element.value]
    if element.keyword in _PIXELS or element.VR in _BINARY_NUMBERS:
        return True
    if element.VR in _NUMBERS:
        return all(value in (None, "") or math.isfinite(float(value)) for value in values)
    return element.VR in _CODES and all(_CODE.fullmatch(str(value or "")) is not None for value in values)


def _each(value: object, of: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return of(value) if value else ""
    return [of(str(one)) for one in value] if isinstance(value, Iterable) else ""


def _is_standard(uid: str) -> bool:
    return uid.startswith(_STANDARD)


def _shifted(vr: str, value: str, shift: timedelta) -> str:
    """A date set back; a time of day as it is; nothing of what is neither."""
    if vr == "TM":
        return value if re.fullmatch(r"\d{2,6}(\.\d{1,6})?", value) else ""
    day, rest = value[:8], value[8:] if vr == "DT" else ""
    if re.fullmatch(r"\d{8}", day) is None or re.fullmatch(r"[\d.+-]*", rest) is None:
        return ""
    try:
        return (datetime.strptime(day, "%Y%m%d") - shift).strftime("%Y%m%d") + rest
    except (ValueError, OverflowError):
        return ""
