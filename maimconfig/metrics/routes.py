"""/metrics"""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, request

from maimconfig.http.context import current, runtime
from maimconfig.metrics import exposition, sampling

log = structlog.get_logger(__name__)

blp = Blueprint("metrics", __name__)


@blp.get("/metrics")
def get_metrics() -> Response:
    """The numbers of all processes that share a folder, for Prometheus."""
    sampling.sample(runtime())
    try:
        numbers = runtime().exchange.collect()
    except OSError as error:
        log.warning("metrics.not_collected", reason=str(error))
        said = "The folder of the processes' numbers can't be used.\n"
        return Response(said, 503, mimetype="text/plain")
    current().varies.add("Accept")
    body, content_type = exposition.page(numbers, request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)
