"""The osirixgrpc service over a `VirtualOsirix`: DICOM database objects and the browser window."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from osirixgrpc import (
    browsercontroller_pb2,
    dcmpix_pb2,
    dicomimage_pb2,
    dicomseries_pb2,
    dicomstudy_pb2,
    osirix_pb2,
    types_pb2,
)

from osirix_agent.virtual_osirix.folder import ImageFile, SeriesFiles, StudyFiles
from osirix_agent.virtual_osirix.service import ServiceBase, StatusError, done, ok


class Browser:
    """The database window (a BrowserController)."""


class DatabaseService(ServiceBase):
    """DicomImage*, DicomSeries*, DicomStudy*, BrowserController* and the DCMPix calls that lead to them."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._browser = Browser()

    def _image(self, request: Any) -> ImageFile:
        image: ImageFile = self._find(request, ImageFile, "DicomImage")
        return image

    def _series(self, request: Any) -> SeriesFiles:
        series: SeriesFiles = self._find(request, SeriesFiles, "DicomSeries")
        return series

    def _study(self, request: Any) -> StudyFiles:
        study: StudyFiles = self._find(request, StudyFiles, "DicomStudy")
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
        return ok(
            dicomimage_pb2.DicomImageDateResponse,
            **_date(self._image(request).header, "Acquisition", "Study"),
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
        where = float(self._image(request).header.get("SliceLocation") or 0.0)
        return ok(dicomimage_pb2.DicomImageSliceLocationResponse, slice_location=where)

    def DicomImageInstanceNumber(self, request: Any) -> Any:
        number = int(self._image(request).header.get("InstanceNumber") or 0)
        return ok(dicomimage_pb2.DicomImageInstanceNumberResponse, instance_number=number)

    # -- series ----------------------------------------------------------------------------------------------
    def DicomSeriesPaths(self, request: Any) -> Any:
        paths = [str(image.path) for image in self._series(request).images]
        return ok(dicomseries_pb2.DicomSeriesPathsResponse, paths=paths)

    def DicomSeriesPreviousSeries(self, request: Any) -> Any:
        ref = self._neighbour(self._series(request), -1)
        return ok(dicomseries_pb2.DicomSeriesPreviousSeriesResponse, previous_series=ref)

    def DicomSeriesNextSeries(self, request: Any) -> Any:
        ref = self._neighbour(self._series(request), 1)
        return ok(dicomseries_pb2.DicomSeriesNextSeriesResponse, next_series=ref)

    def _neighbour(self, series: SeriesFiles, step: int) -> Any:
        row = series.study.series
        at = row.index(series) + step
        if not 0 <= at < len(row):
            raise StatusError("No DicomSeries cached")
        return self._ref(types_pb2.DicomSeries, row[at])

    def DicomSeriesSortedImages(self, request: Any) -> Any:
        refs = [self._ref(types_pb2.DicomImage, image) for image in self._series(request).images]
        return ok(dicomseries_pb2.DicomSeriesSortedImagesResponse, sorted_images=refs)

    def DicomSeriesImages(self, request: Any) -> Any:
        refs = [self._ref(types_pb2.DicomImage, image) for image in self._series(request).images]
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
        text = str(self._series(request).header.get("SeriesDescription", ""))
        return ok(dicomseries_pb2.DicomSeriesNameResponse, name=text)

    def DicomSeriesDate(self, request: Any) -> Any:
        return ok(dicomseries_pb2.DicomSeriesDateResponse, **_date(self._series(request).header, "Series", "Study"))

    def DicomSeriesNumberOfImages(self, request: Any) -> Any:
        count = len(self._series(request).images)
        return ok(dicomseries_pb2.DicomSeriesNumberOfImagesResponse, number_of_images=count)

    # -- studies ---------------------------------------------------------------------------------------------
    def DicomStudyPaths(self, request: Any) -> Any:
        paths = [str(image.path) for image in self._study(request).images]
        return ok(dicomstudy_pb2.DicomStudyPathsResponse, paths=paths)

    def DicomStudyImages(self, request: Any) -> Any:
        refs = [self._ref(types_pb2.DicomImage, image) for image in self._study(request).images]
        return ok(dicomstudy_pb2.DicomStudyImagesResponse, images=refs)

    def DicomStudySeries(self, request: Any) -> Any:
        refs = [self._ref(types_pb2.DicomSeries, series) for series in self._study(request).series]
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
        return ok(dicomstudy_pb2.DicomStudyNameResponse, name=self._text(request, "PatientName"))

    def DicomStudyDate(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyDateResponse, **_date(self._study(request).header, "Study"))

    def DicomStudyDateAdded(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyDateAddedResponse, **_date(self._study(request).header, "Study"))

    def DicomStudyDateOfBirth(self, request: Any) -> Any:
        parts = _date(self._study(request).header, "PatientBirth")
        return ok(
            dicomstudy_pb2.DicomStudyDateOfBirthResponse,
            **{key: value for key, value in parts.items() if key in {"year", "month", "day"}},
        )

    def DicomStudyInstitutionName(self, request: Any) -> Any:
        text = self._text(request, "InstitutionName")
        return ok(dicomstudy_pb2.DicomStudyInstitutionNameResponse, institution_name=text)

    def DicomStudyPatientID(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyPatientIDResponse, patient_id=self._text(request, "PatientID"))

    def DicomStudyPatientUID(self, request: Any) -> Any:
        text = f"{self._text(request, 'PatientName')}-{self._text(request, 'PatientID')}"
        return ok(dicomstudy_pb2.DicomStudyPatientUIDResponse, patient_uid=text)

    def DicomStudyPatientSex(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyPatientSexResponse, patient_sex=self._text(request, "PatientSex"))

    def DicomStudyPerformingPhysician(self, request: Any) -> Any:
        text = self._text(request, "PerformingPhysicianName")
        return ok(dicomstudy_pb2.DicomStudyPerformingPhysicianResponse, performing_physician=text)

    def DicomStudyReferringPhysician(self, request: Any) -> Any:
        text = self._text(request, "ReferringPhysicianName")
        return ok(dicomstudy_pb2.DicomStudyReferringPhysicianResponse, referring_physician=text)

    def DicomStudyStudyInstanceUID(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyStudyInstanceUIDResponse, study_instance_uid=self._study(request).uid)

    def DicomStudyStudyName(self, request: Any) -> Any:
        return ok(dicomstudy_pb2.DicomStudyStudyNameResponse, study_name=self._text(request, "StudyDescription"))

    def _text(self, request: Any, keyword: str) -> str:
        return str(self._study(request).header.get(keyword, "") or "")

    # -- browser ---------------------------------------------------------------------------------------------
    def OsirixCurrentBrowser(self, request: Any) -> Any:
        ref = self._ref(types_pb2.BrowserController, self._browser)
        return ok(osirix_pb2.OsirixCurrentBrowserResponse, browser_controller=ref)

    def BrowserControllerDatabaseStudies(self, request: Any) -> Any:
        self._find(request, Browser, "BrowserController")
        refs = [self._ref(types_pb2.DicomStudy, study) for study in self.app.studies]
        return ok(browsercontroller_pb2.BrowserControllerDatabaseStudiesResponse, studies=refs)

    def BrowserControllerDatabaseSelection(self, request: Any) -> Any:
        self._find(request, Browser, "BrowserController")
        refs = [self._ref(types_pb2.DicomStudy, study) for study in self.app.studies[:1]]
        return ok(browsercontroller_pb2.BrowserControllerDatabaseSelectionResponse, studies=refs)

    def BrowserControllerCopyFilesIfNeeded(self, request: Any) -> Any:
        self._find(request.browser, Browser, "BrowserController")
        for folder in dict.fromkeys(Path(path).parent for path in request.paths):
            self.app.import_folder(folder)
        return done()

    def BrowserControllerOpenViewerFromImages(self, request: Any) -> Any:
        self._find(request.browser, Browser, "BrowserController")
        frames = [[self._image(image) for image in frame.images] for frame in request.frames]
        if not frames or not frames[0]:
            raise StatusError("No DicomImage cached")
        ref = self._ref(types_pb2.ViewerController, self.app.open_images(frames))
        return ok(browsercontroller_pb2.BrowserControllerOpenViewerFromImagesResponse, viewer=ref)


def _date(header: Any, *kinds: str) -> dict[str, int]:
    for kind in kinds:
        day, time = str(header.get(f"{kind}Date", "") or ""), str(header.get(f"{kind}Time", "") or "")
        if len(day) == 8:
            moment = datetime.strptime(day + (time[:6] if len(time) >= 6 else "000000"), "%Y%m%d%H%M%S")
            return {
                "year": moment.year, "month": moment.month, "day": moment.day,
                "hour": moment.hour, "minute": moment.minute, "second": moment.second, "millisecond": 0,
            }  # fmt: skip
    return {"year": 0, "month": 0, "day": 0, "hour": 0, "minute": 0, "second": 0, "millisecond": 0}
