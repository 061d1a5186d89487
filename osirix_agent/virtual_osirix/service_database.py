"""The osirixgrpc service over a `VirtualOsirix`: images, series and studies of the database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from osirixgrpc import (
    dcmpix_pb2,
    dicomimage_pb2,
    dicomseries_pb2,
    dicomstudy_pb2,
    types_pb2,
)

from osirix_agent.virtual_osirix.folder import ImageFile, SeriesFiles, StudyFiles
from osirix_agent.virtual_osirix.pix import pixes_of
from osirix_agent.virtual_osirix.service import ServiceBase, StatusError, ok

Thing = TypeVar("Thing")


class DatabaseService(ServiceBase):
    """DicomImage*, DicomSeries*, DicomStudy* and the DCMPix calls that lead to them."""

    def _image(self, request: Any) -> ImageFile:
        image: ImageFile = self._find(request, ImageFile)
        return image

    def _series(self, request: Any) -> SeriesFiles:
        series: SeriesFiles = self._find(request, SeriesFiles)
        return series

    def _study(self, request: Any) -> StudyFiles:
        study: StudyFiles = self._find(request, StudyFiles)
        return study

    def DCMPixDicomImage(self, request: Any) -> Any:
        ref = self._ref(types_pb2.DicomImage, self._pix(request).source)
        return ok(dcmpix_pb2.DCMPixDicomImageResponse, dicom_image=ref)

    def DCMPixDicomSeries(self, request: Any) -> Any:
        ref = self._ref(types_pb2.DicomSeries, self._pix(request).source.series)
        return ok(dcmpix_pb2.DCMPixDicomSeriesResponse, dicom_series=ref)

    def DCMPixDicomStudy(self, request: Any) -> Any:
        ref = self._ref(types_pb2.DicomStudy, self._pix(request).source.series.study)
        return ok(dcmpix_pb2.DCMPixDicomStudyResponse, dicom_study=ref)

    # -- images ----------------------------------------------------------------------------------------------
    def DicomImageWidth(self, request: Any) -> Any:
        return ok(dicomimage_pb2.DicomImageWidthResponse, width=int(self._image(request).header.Columns))

    def DicomImageHeight(self, request: Any) -> Any:
        return ok(dicomimage_pb2.DicomImageHeightResponse, height=int(self._image(request).header.Rows))

    def DicomImageSOPInstanceUID(self, request: Any) -> Any:
        uid = str(self._image(request).header.SOPInstanceUID)
        return ok(dicomimage_pb2.DicomImageSOPInstanceUIDResponse, sop_instance_uid=uid)

    def DicomImageCompletePath(self, request: Any) -> Any:
        path = str(self._image(request).path)
        return ok(dicomimage_pb2.DicomImageCompletePathResponse, complete_path=path)

    def DicomImageDate(self, request: Any) -> Any:
        """`millisecond` is 1000 times the nanoseconds, cut to 32 bits: garbage."""
        return ok(
            dicomimage_pb2.DicomImageDateResponse,
            **_parts(_moment(self._image(request).header, "Acquisition", "Study"), "Image date not available"),
        )

    def DicomImageNumberOfFrames(self, request: Any) -> Any:
        count = self._image(request).frame_count
        return ok(dicomimage_pb2.DicomImageNumberOfFramesResponse, number_of_frames=count)

    def DicomImageModality(self, request: Any) -> Any:
        return ok(dicomimage_pb2.DicomImageModalityResponse, modality=self._image(request).series.modality)

    def DicomImageSeries(self, request: Any) -> Any:
        ref = self._ref(types_pb2.DicomSeries, self._image(request).series)
        return ok(dicomimage_pb2.DicomImageSeriesResponse, series=ref)

    def DicomImageSliceLocation(self, request: Any) -> Any:
        where = pixes_of(self._image(request))[0].slice_location
        return ok(dicomimage_pb2.DicomImageSliceLocationResponse, slice_location=where)

    def DicomImageInstanceNumber(self, request: Any) -> Any:
        number = int(self._image(request).header.get("InstanceNumber") or 0)
        return ok(dicomimage_pb2.DicomImageInstanceNumberResponse, instance_number=number)

    # -- series ----------------------------------------------------------------------------------------------
    def DicomSeriesPaths(self, request: Any) -> Any:
        """In no particular order."""
        paths = [str(image.path) for image in _unordered(self._series(request).images)]
        return ok(dicomseries_pb2.DicomSeriesPathsResponse, paths=paths)

    def DicomSeriesPreviousSeries(self, request: Any) -> Any:
        ref = self._neighbour(self._series(request), -1, "No previous series")
        return ok(dicomseries_pb2.DicomSeriesPreviousSeriesResponse, previous_series=ref)

    def DicomSeriesNextSeries(self, request: Any) -> Any:
        ref = self._neighbour(self._series(request), 1, "No next series")
        return ok(dicomseries_pb2.DicomSeriesNextSeriesResponse, next_series=ref)

    def _neighbour(self, series: SeriesFiles, step: int, otherwise: str) -> Any:
        row = series.study.series
        at = row.index(series) + step
        if not 0 <= at < len(row):
            raise StatusError(otherwise)
        return self._ref(types_pb2.DicomSeries, row[at])

    def DicomSeriesSortedImages(self, request: Any) -> Any:
        refs = [self._ref(types_pb2.DicomImage, image) for image in self._series(request).images]
        return ok(dicomseries_pb2.DicomSeriesSortedImagesResponse, sorted_images=refs)

    def DicomSeriesImages(self, request: Any) -> Any:
        """In no particular order."""
        refs = [self._ref(types_pb2.DicomImage, image) for image in _unordered(self._series(request).images)]
        return ok(dicomseries_pb2.DicomSeriesImagesResponse, images=refs)

    def DicomSeriesStudy(self, request: Any) -> Any:
        ref = self._ref(types_pb2.DicomStudy, self._series(request).study)
        return ok(dicomseries_pb2.DicomSeriesStudyResponse, study=ref)

    def DicomSeriesSeriesInstanceUID(self, request: Any) -> Any:
        return ok(
            dicomseries_pb2.DicomSeriesSeriesInstanceUIDResponse,
            series_instance_uid=self._series(request).uid,
        )

    def DicomSeriesSeriesSOPClassUID(self, request: Any) -> Any:
        uid = str(self._series(request).header.get("SOPClassUID", ""))
        return ok(dicomseries_pb2.DicomSeriesSeriesSOPClassUIDResponse, series_sop_class_uid=uid)

    def DicomSeriesSeriesDescription(self, request: Any) -> Any:
        text = str(self._series(request).header.get("SeriesDescription", ""))
        return ok(dicomseries_pb2.DicomSeriesSeriesDescriptionResponse, series_description=text)

    def DicomSeriesModality(self, request: Any) -> Any:
        return ok(dicomseries_pb2.DicomSeriesModalityResponse, modality=self._series(request).modality)

    def DicomSeriesName(self, request: Any) -> Any:
        """The description again, not the patient."""
        text = str(self._series(request).header.get("SeriesDescription", ""))
        return ok(dicomseries_pb2.DicomSeriesNameResponse, name=text)

    def DicomSeriesDate(self, request: Any) -> Any:
        moment = _moment(self._series(request).header, "Series", "Study")
        return ok(dicomseries_pb2.DicomSeriesDateResponse, **_parts(moment, "Series date not available"))

    def DicomSeriesNumberOfImages(self, request: Any) -> Any:
        count = len(self._series(request).images)
        return ok(dicomseries_pb2.DicomSeriesNumberOfImagesResponse, number_of_images=count)

    # -- studies ---------------------------------------------------------------------------------------------
    def DicomStudyPaths(self, request: Any) -> Any:
        """In no particular order."""
        paths = [str(image.path) for image in _unordered(self._study(request).images)]
        return ok(dicomstudy_pb2.DicomStudyPathsResponse, paths=paths)

    def DicomStudyImages(self, request: Any) -> Any:
        """In no particular order."""
        refs = [self._ref(types_pb2.DicomImage, image) for image in _unordered(self._study(request).images)]
        return ok(dicomstudy_pb2.DicomStudyImagesResponse, images=refs)

    def DicomStudySeries(self, request: Any) -> Any:
        """In no particular order."""
        refs = [self._ref(types_pb2.DicomSeries, series) for series in _unordered(self._study(request).series)]
        return ok(dicomstudy_pb2.DicomStudySeriesResponse, series=refs)

    def DicomStudyModalities(self, request: Any) -> Any:
        names = "\\".join(dict.fromkeys(series.modality for series in self._study(request).series))
        return ok(dicomstudy_pb2.DicomStudyModalitiesResponse, modalities=names)

    def DicomStudyModality(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyModalityResponse, modality=self._study(request).series[0].modality)

    def DicomStudyNoFiles(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyNoFilesResponse, no_files=len(self._study(request).images))

    def DicomStudyRawNoFiles(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyRawNoFilesResponse, no_files=len(self._study(request).images))

    def DicomStudyNumberOfImages(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyNumberOfImagesResponse, no_images=len(self._study(request).images))

    def DicomStudyName(self, request: Any) -> Any:
        """The patient's."""
        name = self._text(request, "PatientName", "Study name")
        return ok(dicomstudy_pb2.DicomStudyNameResponse, name=name)

    def DicomStudyDate(self, request: Any) -> Any:
        moment = _moment(self._study(request).header, "Study")
        return ok(dicomstudy_pb2.DicomStudyDateResponse, **_parts(moment, "Study date not available"))

    def DicomStudyDateAdded(self, request: Any) -> Any:
        """When it came into the database."""
        parts = _parts(self._study(request).added, "Date added not available")
        return ok(dicomstudy_pb2.DicomStudyDateAddedResponse, **parts)

    def DicomStudyDateOfBirth(self, request: Any) -> Any:
        parts = _parts(_moment(self._study(request).header, "PatientBirth"), "Date of birth not available")
        day = {key: parts[key] for key in ("year", "month", "day")}
        return ok(dicomstudy_pb2.DicomStudyDateOfBirthResponse, **day)

    def DicomStudyInstitutionName(self, request: Any) -> Any:
        text = self._text(request, "InstitutionName", "Institution name")
        return ok(dicomstudy_pb2.DicomStudyInstitutionNameResponse, institution_name=text)

    def DicomStudyPatientID(self, request: Any) -> Any:
        text = self._text(request, "PatientID", "Patient ID")
        return ok(dicomstudy_pb2.DicomStudyPatientIDResponse, patient_id=text)

    def DicomStudyPatientUID(self, request: Any) -> Any:
        """Name, ID and date of birth in capitals, joined by hyphens."""
        header = self._study(request).header
        words = [str(header.get(k, "") or "") for k in ("PatientName", "PatientID", "PatientBirthDate")]
        text = "-".join(word.replace("^", " ").upper() for word in words)
        return ok(dicomstudy_pb2.DicomStudyPatientUIDResponse, patient_uid=text)

    def DicomStudyPatientSex(self, request: Any) -> Any:
        text = self._text(request, "PatientSex", "Patient sex")
        return ok(dicomstudy_pb2.DicomStudyPatientSexResponse, patient_sex=text)

    def DicomStudyPerformingPhysician(self, request: Any) -> Any:
        text = self._text(request, "PerformingPhysicianName", "Performing physician")
        return ok(dicomstudy_pb2.DicomStudyPerformingPhysicianResponse, performing_physician=text)

    def DicomStudyReferringPhysician(self, request: Any) -> Any:
        text = self._text(request, "ReferringPhysicianName", "Referring physician")
        return ok(dicomstudy_pb2.DicomStudyReferringPhysicianResponse, referring_physician=text)

    def DicomStudyStudyInstanceUID(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyStudyInstanceUIDResponse, study_instance_uid=self._study(request).uid)

    def DicomStudyStudyName(self, request: Any) -> Any:
        """The study's description."""
        text = self._text(request, "StudyDescription", "Study name")
        return ok(dicomstudy_pb2.DicomStudyStudyNameResponse, study_name=text)

    def _text(self, request: Any, keyword: str, what: str) -> str:
        text = str(self._study(request).header.get(keyword, "") or "")
        if not text:
            raise StatusError(f"{what} not available")
        return text


def _unordered(things: Sequence[Thing]) -> list[Thing]:
    """A set's order: none to rely on, but the same each time."""
    return sorted(things, key=lambda thing: hashlib.sha1(_identity(thing).encode()).digest())


def _identity(thing: Any) -> str:
    return str(thing.path) if isinstance(thing, ImageFile) else str(thing.uid)


def _moment(header: Any, *kinds: str) -> datetime | None:
    for kind in kinds:
        day, time = str(header.get(f"{kind}Date", "") or ""), str(header.get(f"{kind}Time", "") or "")
        if len(day) == 8:
            whole, _, fraction = time.partition(".")
            text = day + (whole[:6] if len(whole) >= 6 else "000000") + (fraction or "0")[:6].ljust(6, "0")
            return datetime.strptime(text, "%Y%m%d%H%M%S%f")
    return None


def _parts(moment: datetime | None, otherwise: str) -> dict[str, int]:
    """What the service makes of a date; what it calls milliseconds is 1000 times the nanoseconds, in 32 bits."""
    if moment is None:
        raise StatusError(otherwise)
    wrapped = (moment.microsecond * 1_000_000 + 2**31) % 2**32 - 2**31
    return {
        "year": moment.year, "month": moment.month, "day": moment.day,
        "hour": moment.hour, "minute": moment.minute, "second": moment.second, "millisecond": wrapped,
    }  # fmt: skip
