"""The DICOMweb part of the conformance statement, printed from the tables that the code runs on.

    python -m appliance.http.conformance docs/conformance.md

writes it between its marks; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

from appliance.domain.annotations import KINDS
from appliance.domain.cameras import Orientation
from appliance.domain.preamble import dangerous_kinds
from appliance.domain.searches import Level
from appliance.domain.views import STORED_VALUES, RenderingMethod
from appliance.http.picture_requests import (
    FUNCTIONS,
    LARGEST_SIDE,
    LARGEST_THUMBNAIL_SIDE,
    PROFILES,
    THUMBNAIL_SIDE,
    WITH_PROFILE,
)
from appliance.http.pictures import MOST_PICTURES, RESOURCES
from appliance.http.stow import FAILURE_REASONS, OTHER_STUDY
from appliance.http.volume_motion import FASTEST_RATE, MOST_FILM_FRAMES, WIDEST_SWIVEL
from appliance.http.volume_pictures import RESOURCES as OF_VOLUMES
from appliance.http.volume_requests import OF_THE_STANDARD, ONLY_OF, OURS, RESOURCES_OF
from appliance.http.volume_views import LONGEST_SLAB_MM
from appliance.http.wado import FRAME_TYPES
from appliance.rendering.encoders import media_types
from appliance.rendering.films import film_types
from appliance.storage.queries import ATTRIBUTES, MOST_RESULTS
from appliance.storage.transcoding import TARGETS
from appliance.storage.transfer_syntaxes import CODECS, is_video

BEGIN, END = "<!-- DICOMweb: printed by appliance/http/conformance.py -->", "<!-- end of DICOMweb -->"


def statement() -> str:
    """The part, in Markdown, marks included."""
    paragraphs = (
        BEGIN,
        "## DICOMweb (PS3.18)",
        "### Store (STOW-RS)",
        "Every SOP class and every transfer syntax is stored, as `application/dicom` parts of a `multipart/related`, or one "
        "instance as the whole body. Bodies with Content-Encoding, `application/dicom+json` and `application/dicom+xml` are "
        "not taken. The same bytes again are accepted and stored once.",
        _table(("Failure Reason", "when"), [(f"{code:04X}H", name) for name, code in _reasons()]),
        "### Search (QIDO-RS)",
        f"At most {MOST_RESULTS:,} results in an answer; the rest by `offset`. Attributes are named by keyword or tag, in a "
        "sequence joined by a dot. Those of levels above match too, and those of levels below match what has such a part. "
        "Attributes that are in the table are returned of the level that is searched, and of those above where the path does "
        "not fix them; any other is returned by `includefield` from one instance (`all`: of an instance everything that is not "
        "bulk data). Attributes that are not in the table do not match: they are passed over, and a warning names them. "
        "Answers are in UTF-8 (ISO_IR 192).",
        "`fuzzymatching=true`: each word of the name begins a word of the patient's, in any order, case and accents aside.",
        *(f"{_LEVELS[level]}:\n\n{_attributes(level)}" for level in Level),
        "### Retrieve (WADO-RS)",
        f"As stored (`transfer-syntax=*`), bit for bit; transcoded to {_listed(TARGETS)} from what has no pixels and from "
        "the transfer syntaxes whose frames are decoded:",
        _table(("Transfer syntax", "decoded by", "frames as stored"), _syntaxes()),
        "Transcoding turns YBR into RGB, clears what lies beside the stored bits, and leaves out what follows the pixels.",
        f"A preamble that is a file of another kind ({', '.join(dangerous_kinds())}) leaves as zeroes; that of a TIFF stays.",
        "### Retrieve Rendered, thumbnails",
        "`/dicom-web` and then " + ", ".join(f"`{_plain(path)}`" for path, _ in RESOURCES) + ".",
        _table(
            ("what", "values"),
            [
                ("Media types of a picture", _quoted(media_types())),
                ("of several frames", "these as parts of a `multipart/related`"),
                ("of several frames of one image", f"{_quoted(film_types())} as a film"),
                ("of stored values", f"`{STORED_VALUES}` (docs/api.md)"),
                ("`accept`", "as the header, before which it goes"),
                ("`annotation`", _quoted(KINDS)),
                ("`iccprofile`", f"{_quoted(PROFILES)}, in {_quoted(WITH_PROFILE)}"),
                ("`quality`", "1 to 100"),
                ("`viewport`", f"1 to {LARGEST_SIDE} a side; region, mirrored and turned by negative sizes"),
                ("`viewport` of a thumbnail", f"1 to {LARGEST_THUMBNAIL_SIDE} a side, {THUMBNAIL_SIDE} without it"),
                ("`window`", f"center, width, function: {_quoted(FUNCTIONS)}"),
                ("Most pictures of an answer", str(MOST_PICTURES)),
            ],
        ),
        "Unknown parameters are passed over; a known one with a value that cannot be is refused with 400.",
        "### Rendered MPR Volume, Rendered 3D Volume",
        "`/dicom-web` and then " + ", ".join(f"`{_plain(path)}`" for path, _ in OF_VOLUMES) + "; also written "
        "`renderedMPR` and `rendered3D`. What of a target is a volume is found by position.",
        _table(("parameter", "at", "values"), _volume_parameters()),
        "Ours beside them (docs/api.md): " + _quoted(OURS) + ".",
        "Targets are volumetric presentation states too: Grayscale Planar MPR (style PLANAR) and Volume Rendering, of one input. "
        "Applied are geometry, field of view, slab, rendering method, window and a bounding box of cropping; a `Warning` names "
        "what of animation, annotations, shading, colours and other cropping a state has and a picture lacks. Compositing, "
        "segmented and multiple ones are refused (422).",
        "Any other parameter that is an attribute, by keyword or tag, is matched against the images of the target: in the data "
        "set, in its shared and in its per-frame functional groups. Media types are those of a picture and of a film above; a "
        "film without `Accept` is `video/mp4`.",
        END,
    )
    return "\n\n".join(paragraphs) + "\n"


def _volume_parameters() -> Iterable[Sequence[str]]:
    values = {
        "volumeinputreference": "UIDs of series or instances; in an instance numbers of frames",
        "renderingmethod": _quoted(RenderingMethod),
        "orientation": _quoted(get_args(Orientation)) + "; not together with `viewpoint…`",
        "viewpointposition": "x,y,z, LPS mm",
        "viewpointlookat": "x,y,z, LPS mm",
        "viewpointup": "x,y,z; 0,0,0 is none (the standard's example)",
        "mprslab": f"0 to {LONGEST_SLAB_MM:g} mm",
        "swivelrange": f"above 0 to {WIDEST_SWIVEL:g} degrees",
        "volumetriccurvepoint": "x,y,z of each point, in one parameter or several: planes across the curve",
        "animationstepsize": f"degrees or mm, above 0; at most {MOST_FILM_FRAMES} frames",
        "animationrate": f"above 0 to {FASTEST_RATE:g} frames a second",
        "renderedvolumetricmetadata": "`yes`: the Rendered Volume Response Module and nothing else",
    }
    for name in OF_THE_STANDARD:
        yield f"`{name}`", RESOURCES_OF[ONLY_OF[name]] if name in ONLY_OF else "both", values[name]


_LEVELS = {Level.STUDY: "Studies", Level.SERIES: "Series", Level.INSTANCE: "Instances"}


def _reasons() -> Iterable[tuple[str, int]]:
    words = {
        "StoreFull": "no room in the store",
        "TooLarge": "larger than the settings allow",
        "Unavailable": "a part of the appliance is not there now",
        "NotDicom": "not DICOM, or not readable",
        "UnsupportedMedia": "a part that is not `application/dicom`",
        "BadRequest": "the body ends or breaks within the instance",
        "Conflict": "other bytes are held under its SOP Instance UID; they stay",
        "NotAllowed": "the account may not",
        "ApplianceError": "anything else",
    }
    yield from ((words[kind.__name__], code) for kind, code in FAILURE_REASONS.items())
    yield "of another study than the address says", OTHER_STUDY


def _attributes(level: Level) -> str:
    rows = [
        (f"({one.tag[:4]},{one.tag[4:]})", f"> {one.keyword}" if one.sequence else one.keyword, one.vr, one.kind.value)
        for one in ATTRIBUTES
        if one.level is level
    ]
    return _table(("Tag", "Attribute", "VR", "matches"), rows)


def _syntaxes() -> Iterable[Sequence[str]]:
    return ((uid, str(codec), _frame_type(uid)) for uid, codec in CODECS.items())


def _frame_type(transfer_syntax_uid: str) -> str:
    if is_video(transfer_syntax_uid):
        return "none: a frame of a video does not stand by itself"
    return FRAME_TYPES.get(transfer_syntax_uid, "application/octet-stream")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(path: str) -> str:
    return path.removeprefix("/dicom-web").replace("<", "{").replace(">", "}")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _listed(uids: Sequence[str]) -> str:
    return " and ".join(f"`{uid}`" for uid in uids)


def printed_into(text: str) -> str:
    """``text`` with the part between its marks as it is now; at the end where it had none."""
    before, begin, rest = text.partition(BEGIN)
    after = rest.partition(END)[2].removeprefix("\n") if begin else ""
    return (before if begin else f"{before.rstrip()}\n\n") + statement() + after


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(printed_into(file.read_text(encoding="utf-8")), encoding="utf-8")
