"""A helper process for test_children: says back what it is told, or does as it is told."""

from __future__ import annotations

import os
import threading
import time

from appliance.domain.errors import NotDrawable
from appliance.services.children import Request, serve_requests


def _prepare(settings: bytes) -> object:
    cancelled: list[int] = []

    def work(request: Request) -> None:
        deadline = time.monotonic() + 5
        while not request.is_cancelled and time.monotonic() < deadline:
            time.sleep(0.005)
        cancelled.append(request.number)

    def handle(request: Request) -> None:
        match request.message.header:
            case b"settings":
                request.answer(settings)
            case b"die":
                os._exit(7)
            case b"refuse":
                raise NotDrawable("There is no picture", key="no-picture", frame=3)
            case b"wait":
                threading.Thread(target=work, args=(request,)).start()
            case b"cancelled":
                request.answer(str(len(cancelled)).encode())
            case header:
                request.answer(header, request.message.body)

    return handle


if __name__ == "__main__":
    serve_requests(_prepare)  # type: ignore[arg-type]
