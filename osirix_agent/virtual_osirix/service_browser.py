"""The osirixgrpc service over a `VirtualOsirix`: the database window."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import copyfile
from typing import Any

from osirixgrpc import browsercontroller_pb2, osirix_pb2, types_pb2

from osirix_agent.errors import DicomError
from osirix_agent.virtual_osirix.folder import ImageFile, SeriesFiles, StudyFiles
from osirix_agent.virtual_osirix.service import Browser, ServiceBase, StatusError, done, ok


class BrowserService(ServiceBase):
    """BrowserController* calls, and the one that leads to it."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._browser = Browser()

    def OsirixCurrentBrowser(self, request: Any) -> Any:
        ref = self._ref(types_pb2.BrowserController, self._browser)
        return ok(osirix_pb2.OsirixCurrentBrowserResponse, browser_controller=ref)

    def BrowserControllerDatabaseStudies(self, request: Any) -> Any:
        self._find(request, Browser)
        refs = [self._ref(types_pb2.DicomStudy, study) for study in self.app.studies]
        return ok(browsercontroller_pb2.BrowserControllerDatabaseStudiesResponse, studies=refs)

    def BrowserControllerDatabaseSelection(self, request: Any) -> Any:
        """Whole studies and single series apart."""
        self._find(request, Browser)
        marked = self.app.studies[:1] if self.app.selection is None else self.app.selection
        return ok(
            browsercontroller_pb2.BrowserControllerDatabaseSelectionResponse,
            studies=[self._ref(types_pb2.DicomStudy, one) for one in marked if isinstance(one, StudyFiles)],
            series=[self._ref(types_pb2.DicomSeries, one) for one in marked if isinstance(one, SeriesFiles)],
        )

    def BrowserControllerCopyFilesIfNeeded(self, request: Any) -> Any:
        """Answers at once; the copies come into the database later. Paths of folders are passed over."""
        self._find(request.browser, Browser)
        paths = [Path(path) for path in request.paths]
        threading.Thread(target=self._import, args=(paths,), daemon=True).start()
        return done()

    def _import(self, paths: Sequence[Path]) -> None:
        folder = self.app.database_folder or Path(tempfile.mkdtemp(prefix="virtual-osirix-"))
        copies = []
        for path in paths:
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                copies.append(Path(copyfile(path, folder / f"{len(list(folder.iterdir())):06d}.dcm")))
        with suppress(DicomError), self.app.main_thread:
            self.app.import_files(copies, images_only=False)

    def BrowserControllerOpenViewerFromImages(self, request: Any) -> Any:
        self._find(request.browser, Browser)
        frames = [[self._find(image, ImageFile) for image in frame.images] for frame in request.frames]
        if not frames or not frames[0]:
            raise StatusError("No DicomImage cached")
        ref = self._ref(types_pb2.ViewerController, self.app.open_images(frames))
        return ok(browsercontroller_pb2.BrowserControllerOpenViewerFromImagesResponse, viewer=ref)
