"""A helper process that parses and decodes what it is sent, as the render process does, under a limit of memory."""

import resource
from collections.abc import Callable

import msgspec

from appliance.domain.errors import ApplianceError
from appliance.services.children import Request, serve_requests
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory

MEMORY_BYTES = 3 << 30


def _prepare(settings: bytes) -> Callable[[Request], None]:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return lambda request: request.answer(msgspec.msgpack.encode(_outcome(request.message.header)))


def _outcome(data: bytes) -> tuple[str, str, int]:
    """A word, a reason, and the most memory that the process ever had, in KiB."""
    word, reason = "", ""
    try:
        found = parse(InMemory(data))
        if found.image is None:
            word, reason = "not-drawable", str(found.not_drawable_reason)
        else:
            decode_frame(found.image, len(found.image.frames) // 2, InMemory(data))
            word = "drawn"
    except ApplianceError as error:
        word, reason = error.key, error.message
    except Exception as error:  # the test says which
        word, reason = "unnamed", f"{type(error).__name__}: {error}"
    return word, reason, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    serve_requests(_prepare)
