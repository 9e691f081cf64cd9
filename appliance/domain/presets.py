"""Windows that physicians know by name, by modality and part of the body: data."""

from __future__ import annotations

from appliance.domain.image import Window

_SOFT_TISSUE = Window(40, 400, explanation="Soft tissue")
_LUNG = Window(-600, 1500, explanation="Lung")
_BONE = Window(500, 2000, explanation="Bone")
_BRAIN = Window(40, 80, explanation="Brain")
_SUBDURAL = Window(75, 215, explanation="Subdural")
_STROKE = Window(35, 40, explanation="Stroke")
_MEDIASTINUM = Window(50, 350, explanation="Mediastinum")
_ABDOMEN = Window(60, 400, explanation="Abdomen")
_LIVER = Window(85, 150, explanation="Liver")
_ANGIOGRAPHY = Window(300, 600, explanation="Angiography")
_TEMPORAL_BONE = Window(700, 4000, explanation="Temporal bone")

_CT = (_SOFT_TISSUE, _LUNG, _BONE, _BRAIN, _MEDIASTINUM, _ABDOMEN, _LIVER, _ANGIOGRAPHY)
"""In Hounsfield units; where the part of the body is not told."""
_CT_OF_PART = {
    "HEAD": (_BRAIN, _SUBDURAL, _STROKE, _BONE, _TEMPORAL_BONE, _SOFT_TISSUE, _ANGIOGRAPHY),
    "CHEST": (_MEDIASTINUM, _LUNG, _BONE, _SOFT_TISSUE, _ANGIOGRAPHY),
    "ABDOMEN": (_ABDOMEN, _LIVER, _SOFT_TISSUE, _BONE, _LUNG, _ANGIOGRAPHY),
    "SPINE": (_BONE, _SOFT_TISSUE),
}
_PET_UPTAKE = tuple(Window(to / 2, to, "linear-exact", f"SUV 0 to {to}") for to in (5, 7, 10, 15))
_UPTAKE_UNITS = {"GML", "G/ML"}
"""Of a PET whose values are standardised uptake already (Units, PS3.3 C.8.9.1.1.3): only they mean the same everywhere."""
_PARTS = {
    "HEAD": "HEAD",
    "BRAIN": "HEAD",
    "SKULL": "HEAD",
    "CHEST": "CHEST",
    "THORAX": "CHEST",
    "LUNG": "CHEST",
    "HEART": "CHEST",
    "ABDOMEN": "ABDOMEN",
    "PELVIS": "ABDOMEN",
    "LIVER": "ABDOMEN",
    "SPINE": "SPINE",
    "CSPINE": "SPINE",
    "TSPINE": "SPINE",
    "LSPINE": "SPINE",
}
"""Body Part Examined (PS3.16 annex L) to the rows above."""


def window_presets(modality: str, body_part: str, unit: str = "") -> tuple[Window, ...]:
    """Windows to choose from, by name in ``explanation``, the likeliest first.

    Only CT, and PET in ``unit`` of uptake, have values that mean the same everywhere; others have no presets, and are windowed
    by file or content.
    """
    if modality == "PT" and unit.upper() in _UPTAKE_UNITS:
        return _PET_UPTAKE
    if modality != "CT":
        return ()
    return _CT_OF_PART.get(_PARTS.get(body_part.strip().upper().replace(" ", ""), ""), _CT)
