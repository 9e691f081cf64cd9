"""Standardised uptake values of a PET image (SUV by body weight).

References: PS3.3 C.8.9.1 (Units, Decay Correction, Corrected Image), C.8.9.2 (isotope); QIBA, "Vendor-neutral pseudo-code for SUV
calculation", the case of Units BQML.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from appliance.domain.attributes import Attributes

SUV_UNIT = "g/ml"


def suv_factor(attributes: Attributes) -> float | None:
    """What a value in Bq/ml is multiplied by for its SUV in g/ml; None where the file does not tell all that it takes."""
    if attributes.text("00541001").upper() != "BQML":
        return None
    isotope = next(iter(attributes.items("00540016")), None)
    weight_kg, dose_bq = attributes.number("00101030"), isotope and isotope.number("00181074")
    if isotope is None or not weight_kg or not dose_bq or weight_kg <= 0 or dose_bq <= 0:
        return None
    left = _part_left(attributes, isotope)
    return None if left is None else weight_kg * 1000 / (dose_bq * left)


def _part_left(attributes: Attributes, isotope: Attributes) -> float | None:
    """Of the dose, at the moment to which the values are corrected."""
    correction = attributes.text("00541102").upper()
    if correction == "ADMIN":
        return 1.0
    half_life_s = isotope.number("00181075")
    given, scanned = _given_at(attributes, isotope), _moment(attributes.text("00080021"), attributes.text("00080031"))
    if correction != "START" or not half_life_s or half_life_s <= 0 or given is None or scanned is None:
        return None
    acquired = _moment(attributes.text("00080022"), attributes.text("00080032"))
    if acquired is not None and scanned > acquired:
        return None  # a series of a later time than its images was made anew: when it was scanned is not told
    passed = scanned - given
    return 2 ** (-passed / timedelta(seconds=half_life_s)) if timedelta() <= passed < timedelta(days=1) else None


def _given_at(attributes: Attributes, isotope: Attributes) -> datetime | None:
    """Radiopharmaceutical Start DateTime, else its time on the day of the series."""
    whole = isotope.text("00181078")
    if len(whole) >= 14:
        return _moment(whole[:8], whole[8:])
    return _moment(attributes.text("00080021"), isotope.text("00181072"))


def _moment(date: str, time: str) -> datetime | None:
    """DA and TM (PS3.5 §6.2); an offset from UTC behind it is left out, as all times of an examination have the same."""
    digits = time[:6]
    try:
        moment = datetime.strptime(date + digits, "%Y%m%d%H%M%S")  # DICOM's times have no zone
        fraction = (
            float("0" + time[6:13].split("+", maxsplit=1)[0].split("-", maxsplit=1)[0]) if time[6:7] == "." else 0.0
        )
    except ValueError:
        return None
    return moment + timedelta(seconds=fraction) if math.isfinite(fraction) else None
