"""What the appliance measures of itself, in Prometheus' terms; printed by ``/metrics``."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from appliance.domain.views import Picture

_REQUEST_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


class Metrics:
    """The figures of one process; a registry of its own, so that two appliances in one process do not mix."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "appliance_request_seconds",
            "Time from the head of a request to the end of its answer",
            ("resource", "method", "status", "http_version"),
            buckets=_REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self.stages = Histogram(
            "appliance_picture_stage_seconds",
            "Time that one stage of making a picture took in the render process",
            ("stage",),
            buckets=_STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.pictures = Counter(
            "appliance_pictures_total", "Pictures that were made", ("media_type",), registry=self.registry
        )
        self.picture_bytes = Counter(
            "appliance_picture_bytes_total", "Bytes of pictures that were made", ("media_type",), registry=self.registry
        )
        self.instances = Counter(
            "appliance_instances_received_total", "Instances that came in", ("outcome",), registry=self.registry
        )
        self.logins = Counter("appliance_logins_total", "Attempts to log in", ("outcome",), registry=self.registry)
        self.dimse_associations = Counter(
            "appliance_dimse_associations_total",
            "Connections of DICOM peers, by how they began or why they did not",
            ("outcome",),
            registry=self.registry,
        )
        self.dimse_operations = Counter(
            "appliance_dimse_operations_total", "What DICOM peers asked for", ("verb", "status"), registry=self.registry
        )
        self.dimse_open = Gauge(
            "appliance_dimse_associations_open", "Associations that are open", registry=self.registry
        )
        self.outbox_length = Gauge(
            "appliance_outbox_length", "Changes that the parent has not acknowledged", ("role",), registry=self.registry
        )
        self.synchronisation_lag = Gauge(
            "appliance_synchronisation_lag_seconds",
            "For how long changes have been waiting for the parent",
            ("role",),
            registry=self.registry,
        )
        self.synchronisation_fails = Gauge(
            "appliance_synchronisation_fails",
            "1 while changes cannot go up, or trust or the feed cannot come down",
            ("role", "what"),
            registry=self.registry,
        )
        self.synchronisation_behind = Gauge(
            "appliance_synchronisation_behind",
            "Subjects that have changed above and were not heard here, as the parent said last",
            ("role",),
            registry=self.registry,
        )
        self.renderer = Gauge(
            "appliance_renderer_info",
            "1 for the OpenGL that draws",
            ("vendor", "renderer", "version", "software"),
            registry=self.registry,
        )
        self.contexts_lost = Gauge(
            "appliance_opengl_contexts_lost", "Contexts that were lost and opened again", registry=self.registry
        )
        self.renderer_fallback = Gauge(
            "appliance_renderer_fallback",
            "1 where software draws because a graphics card failed",
            registry=self.registry,
        )
        self.helper_restarts = Gauge(
            "appliance_helper_restarts",
            "How often a helper process died and was started again",
            ("helper",),
            registry=self.registry,
        )
        self.caches = Gauge(
            "appliance_cache_bytes",
            "Bytes that are kept so as not to make them again",
            ("cache",),
            registry=self.registry,
        )
        self.render_cache = Gauge(
            "appliance_render_cache",
            "Decoded frames and thumbnails on the disk, and what became of those who asked for them since the start",
            ("what",),
            registry=self.registry,
        )
        self.dropped_datagrams = Gauge(
            "appliance_dropped_datagrams",
            "Datagrams of HTTP/3 that came while the queue of the socket was full, since the start",
            registry=self.registry,
        )
        self.receive_queue = Gauge(
            "appliance_receive_queue_bytes",
            "Datagrams of HTTP/3 that may wait to be read, as the kernel granted it",
            registry=self.registry,
        )
        self.made_ready = Gauge(
            "appliance_made_ready",
            "Frames and pictures that were made before anybody asked, and what waits to be",
            ("what",),
            registry=self.registry,
        )

        self.reconciled = Gauge(
            "appliance_reconciliation",
            "What the comparison of store and index since the start has found; done is 1 at its end",
            ("what",),
            registry=self.registry,
        )

    def observe_picture(self, picture: Picture) -> None:
        for stage, cost_ms in picture.stages_ms:
            self.stages.labels(stage).observe(cost_ms / 1000)
        self.pictures.labels(picture.media_type).inc()
        self.picture_bytes.labels(picture.media_type).inc(len(picture.body))

    def text(self) -> bytes:
        return generate_latest(self.registry)
