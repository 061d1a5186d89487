"""What happens, as lines of JSON and as Prometheus metrics."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from osirix_agent.segmenter.server.service import SegmenterService


def log_line(event: str, **fields: Any) -> None:
    """One JSON object a line, on the error stream: no names, no uids, nothing of the image."""
    short = {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **short}
    print(json.dumps(line), file=sys.stderr, flush=True)


class Metrics:
    """Prometheus metrics of one server; no label names a client or a session."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        of: Any = {"registry": self.registry}
        self._proposals = Counter("osirix_agent_proposals", "Requests by how they ended", ["outcome"], **of)
        self._seconds = Histogram(
            "osirix_agent_proposal_seconds", "From request to answer, waiting included", **of,
            buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
        )  # fmt: skip
        self._uploaded = Counter("osirix_agent_uploaded_bytes", "Received for volumes, before they were squeezed", **of)
        self._faults = Counter("osirix_agent_faults", "Errors that nobody raised on purpose", **of)
        self._gauge = lambda name, text: Gauge(f"osirix_agent_{name}", text, **of)

    def watch(self, service: SegmenterService, days_left: Any) -> None:
        """Read the gauges from the service whenever somebody asks."""
        self._gauge("sessions", "Open sessions").set_function(lambda: len(service.leases))
        self._gauge("waiting", "Sessions that wait for the device").set_function(lambda: service.queue.waiting)
        self._gauge("volume_bytes", "Held for volumes").set_function(lambda: service.volumes.bytes_held)
        self._gauge("certificate_days_left", "Until the server's certificate ends").set_function(days_left)

    def tell(self, event: str, **fields: Any) -> None:
        if event == "proposed":
            self._proposals.labels(fields["outcome"]).inc()
            self._seconds.observe(fields["seconds"])
        elif event == "uploaded":
            self._uploaded.inc(fields["bytes"])
        elif event == "fault":
            self._faults.inc()

    def serve(self, port: int) -> tuple[Any, Any]:
        """Answer /metrics on loopback; (server, thread)."""
        from prometheus_client import start_http_server

        found: tuple[Any, Any] = start_http_server(port, addr="127.0.0.1", registry=self.registry)
        return found
