"""Measurements as DICOM objects of others: a presentation state that shows them, and a structured report that tells them.

References: PS3.3 A.33.1 (Grayscale Softcopy Presentation State), C.10.4 (displayed area), C.10.5 (graphic annotation), A.35.3
(Comprehensive SR), C.18 (content items); PS3.16 TID 1500 (Measurement Report), 1501 (Measurement Group), 1410 (Planar ROI
Measurements), 300 (Measurement), 1001 to 1003 (observers), 1204 (language), 1600 (Image Library), CID 244 (type of measurement).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from appliance import __version__
from appliance.domain.attributes import Attributes
from appliance.domain.errors import Conflict
from appliance.domain.measurements import Measurement
from appliance.domain.measuring import REGIONS, Basis, Kind, Point, Quantity
from appliance.domain.regions import RegionValues
from appliance.domain.reports import Writer

GRAYSCALE_SOFTCOPY_PRESENTATION_STATE = UID("1.2.840.10008.5.1.4.1.1.11.1")
COMPREHENSIVE_SR = UID("1.2.840.10008.5.1.4.1.1.88.33")
K = TypeVar("K")
_LAYER = "MEASUREMENTS"
_MANUFACTURER = "Appliance"
_SERIES_NUMBER = 9000
"""A report has one; beyond those of devices."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement, the picture that it is in, and what follows from both."""

    measurement: Measurement
    sop_class_uid: str
    rows: int
    columns: int
    frame_count: int
    is_colour: bool
    basis: Basis
    quantities: tuple[Quantity, ...]
    values: RegionValues | None
    """Of a region."""
    value_unit: str


@dataclass(frozen=True, slots=True)
class Code:
    value: str
    scheme: str
    meaning: str


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


_QUANTITIES: Mapping[tuple[str, Kind | None], Code] = {
    ("length", None): _sct("410668003", "Length"),
    ("area", None): _sct("42798000", "Area"),
    ("angle", None): _sct("1483009", "Angle"),
    ("angle", Kind.COBB): _sct("285285000", "Cobb angle"),
    ("along", None): Code("along", "99APPLIANCE", "Distance along columns"),
    ("across", None): Code("across", "99APPLIANCE", "Distance along rows"),
}
_DERIVATIONS = (
    ("mean", _sct("373098007", "Mean")),
    ("standard_deviation", _sct("386136009", "Standard Deviation")),
    ("minimum", _sct("255605001", "Minimum")),
    ("maximum", _sct("56851009", "Maximum")),
)
_ATTENUATION = _dcm("112031", "Attenuation Coefficient")
_STORED_VALUE = Code("pixel-value", "99APPLIANCE", "Value after the modality LUT")
_UCUM = {
    "mm": "mm",
    "mm2": "mm2",
    "px": "{pixels}",
    "px2": "{pixels}2",
    "deg": "deg",
    "HU": "[hnsf'U]",
    "BQML": "Bq/ml",
}
_UCUM |= {"s": "s", "Hz": "Hz", "cm/s": "cm/s", "%": "%", "dB": "dB", "GML": "g/ml"}
_NO_UNIT = "1"


def presentation_state(of: Sequence[Measured], said: Attributes, creator: Writer) -> bytes:
    """What is drawn in grey pictures of one study, to be laid over them; with a PS3.10 header.

    ``said`` are the attributes of an instance of the study. Raises Conflict for pictures in colours, which it is not for.
    """
    if any(one.is_colour for one in of):
        raise Conflict("A grayscale presentation state is not for pictures in colours", key="colour-pictures")
    ds = _document(GRAYSCALE_SOFTCOPY_PRESENTATION_STATE, "PR", said)
    now = datetime.now(UTC)
    ds.InstanceNumber, ds.ContentLabel, ds.ContentDescription = 1, _LAYER, "Measurements and marks"
    ds.PresentationCreationDate, ds.PresentationCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    ds.ContentCreatorName = _person_name(creator.name)
    ds.ReferencedSeriesSequence = [
        _item(SeriesInstanceUID=series_uid, ReferencedImageSequence=_references(group))
        for series_uid, group in _groups(of, lambda one: one.measurement.drawn.series_uid)
    ]
    ds.DisplayedAreaSelectionSequence = [
        _displayed_area(*size, group) for size, group in _groups(of, lambda one: (one.rows, one.columns))
    ]
    ds.GraphicAnnotationSequence = [_annotation(one) for one in of]
    layer = _item(GraphicLayer=_LAYER, GraphicLayerOrder=1, GraphicLayerDescription="Measurements and marks")
    ds.GraphicLayerSequence = [layer]
    ds.PresentationLUTShape = "IDENTITY"
    return _written(ds)


def measurement_report(of: Sequence[Measured], said: Attributes, creator: Writer) -> bytes:
    """The numbers and what they were measured at, as a Comprehensive SR of TID 1500; with a PS3.10 header.

    Arrows, texts and calibrations are no measurements and are not in it.
    """
    told = [one for one in of if one.measurement.drawn.kind not in (Kind.ARROW, Kind.TEXT, Kind.CALIBRATION)]
    if not told:
        raise Conflict("Nothing was measured", key="nothing-measured")
    ds = _document(COMPREHENSIVE_SR, "SR", said)
    now = datetime.now(UTC)
    ds.InstanceNumber, ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = 1, "PARTIAL", "UNVERIFIED", "FINAL"
    ds.ContentDate, ds.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    series = [
        _item(SeriesInstanceUID=uid, ReferencedSOPSequence=_references(group, with_frames=False))
        for uid, group in _groups(told, lambda one: one.measurement.drawn.series_uid)
    ]
    ds.CurrentRequestedProcedureEvidenceSequence = [
        _item(StudyInstanceUID=ds.StudyInstanceUID, ReferencedSeriesSequence=series)
    ]
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [_code(_dcm("126000", "Imaging Measurement Report"))]
    ds.ContentTemplateSequence = [_item(MappingResource="DCMR", TemplateIdentifier="1500")]
    groups = [_group(one) for one in told]
    ds.ContentSequence = [
        _code_item(
            "HAS CONCEPT MOD",
            _dcm("121049", "Language of Content Item and Descendants"),
            Code("en", "RFC5646", "English"),
        ),
        _code_item("HAS OBS CONTEXT", _dcm("121005", "Observer Type"), _dcm("121006", "Person")),
        _content(
            "HAS OBS CONTEXT", "PNAME", _dcm("121008", "Person Observer Name"), PersonName=_person_name(creator.name)
        ),
        _code_item("HAS CONCEPT MOD", _dcm("121058", "Procedure reported"), _sct("363679005", "Imaging procedure")),
        _container(
            _dcm("111028", "Image Library"), [_container(_dcm("126200", "Image Library Group"), _library(told))]
        ),
        _container(_dcm("126010", "Imaging Measurements"), groups),
    ]
    return _written(ds)


# The object


def _document(sop_class_uid: UID, modality: str, said: Attributes) -> Dataset:
    """Patient and study as those of the pictures, a series and an equipment of our own."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, generate_uid()
    for keyword, tag in _SHARED.items():
        setattr(ds, keyword, said.text(tag))
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = modality, generate_uid(), _SERIES_NUMBER
    ds.SeriesDescription = "Measurements and marks"
    ds.Manufacturer = ds.ManufacturerModelName = _MANUFACTURER
    ds.SoftwareVersions, ds.DeviceSerialNumber = __version__, "1"
    return ds


_SHARED = {
    "PatientName": "00100010",
    "PatientID": "00100020",
    "IssuerOfPatientID": "00100021",
    "PatientBirthDate": "00100030",
    "PatientSex": "00100040",
    "StudyInstanceUID": "0020000D",
    "StudyDate": "00080020",
    "StudyTime": "00080030",
    "StudyID": "00200010",
    "AccessionNumber": "00080050",
    "ReferringPhysicianName": "00080090",
    "StudyDescription": "00081030",
}


def _written(ds: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if not ds.IssuerOfPatientID:
        del ds.IssuerOfPatientID
    file = FileDataset(None, ds, file_meta=meta, preamble=bytes(128))
    body = io.BytesIO()
    file.save_as(body, enforce_file_format=True)
    return body.getvalue()


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _person_name(name: str) -> str:
    """Given names and family name in the order of PN; what stands for a component or a group is left out (PS3.5 §6.2.1)."""
    plain = " ".join("".join(" " if c in "\\^=" else c for c in name).split())
    given, _, family = plain.rpartition(" ")
    return f"{family}^{given}" if given else family


def _groups(of: Iterable[Measured], key: Callable[[Measured], K]) -> list[tuple[K, list[Measured]]]:
    found: dict[K, list[Measured]] = {}
    for one in of:
        found.setdefault(key(one), []).append(one)
    return list(found.items())


def _references(of: Iterable[Measured], *, with_frames: bool = True) -> list[Dataset]:
    """Each image once, with the frames that are meant where it has several."""
    items = []
    for uid, group in _groups(of, lambda one: one.measurement.drawn.instance_uid):
        item = _item(ReferencedSOPClassUID=group[0].sop_class_uid, ReferencedSOPInstanceUID=uid)
        if with_frames and group[0].frame_count > 1:
            item.ReferencedFrameNumber = sorted({one.measurement.drawn.frame for one in group})
        items.append(item)
    return items


# The presentation state


def _displayed_area(rows: int, columns: int, of: Sequence[Measured]) -> Dataset:
    return _item(
        ReferencedImageSequence=_references(of),
        DisplayedAreaTopLeftHandCorner=[1, 1],
        DisplayedAreaBottomRightHandCorner=[columns, rows],
        PresentationSizeMode="SCALE TO FIT",
        PresentationPixelAspectRatio=[1, 1],
    )


def _annotation(of: Measured) -> Dataset:
    drawn = of.measurement.drawn
    item = _item(ReferencedImageSequence=_references([of]), GraphicLayer=_LAYER)
    graphics = [_graphic(kind, points) for kind, points in _figures(drawn.kind, drawn.points)]
    if graphics:
        item.GraphicObjectSequence = graphics
    text = "\r\n".join(_lines(of))
    if text:
        x, y = max(drawn.points)
        at = _item(
            AnchorPointAnnotationUnits="PIXEL", UnformattedTextValue=text, AnchorPoint=[x, y], AnchorPointVisibility="N"
        )
        item.TextObjectSequence = [at]
    return item


def _graphic(kind: str, points: Sequence[Point]) -> Dataset:
    return _item(
        GraphicAnnotationUnits="PIXEL",
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(points),
        GraphicData=[part for point in points for part in point],
        GraphicType=kind,
        GraphicFilled="N",
    )


def _figures(kind: Kind, points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    """Graphic Type and its points (PS3.3 C.10.5.1.2, C.18.6.1.2)."""
    if kind is Kind.TEXT:
        return []
    if kind is Kind.COBB:
        return [("POLYLINE", list(points[:2])), ("POLYLINE", list(points[2:]))]
    if kind is Kind.RECTANGLE:
        (x0, y0), (x1, y1) = points
        return [("POLYLINE", [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])]
    if kind is Kind.ELLIPSE:
        return [("ELLIPSE", _axes(*points))]
    if kind is Kind.FREEHAND:
        return [("POLYLINE", [*points, points[0]])]
    return [("POLYLINE", list(points))]


def _axes(one: Point, other: Point) -> list[Point]:
    """The ends of the longer axis, then those of the shorter one."""
    (left, right), (top, bottom) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    x, y = (left + right) / 2, (top + bottom) / 2
    along, down = [(left, y), (right, y)], [(x, top), (x, bottom)]
    return along + down if right - left >= bottom - top else down + along


def _lines(of: Measured) -> list[str]:
    """The words of the mark, its numbers, and what they rest on where that is not the patient."""
    lines = [of.measurement.drawn.text] if of.measurement.drawn.text else []
    lines += [f"{quantity.value:.2f} {quantity.unit}" for quantity in of.quantities]
    if of.values is not None and of.values.mean is not None:
        unit = of.value_unit
        lines.append(f"Mean {of.values.mean:.2f} {unit}, SD {of.values.standard_deviation:.2f}".rstrip())
        lines.append(f"Min {of.values.minimum:g}, max {of.values.maximum:g} {unit}".rstrip())
    if of.quantities and of.basis is not Basis.PIXEL_SPACING:
        lines.append(f"({of.basis})")
    return lines


# The report


def _group(of: Measured) -> Dataset:
    """TID 1410 of a region, TID 1501 of anything else."""
    one, kind = of.measurement, of.measurement.drawn.kind
    content = [
        _content("HAS OBS CONTEXT", "TEXT", _dcm("112039", "Tracking Identifier"), TextValue=one.drawn.text or kind),
        _content("HAS OBS CONTEXT", "UIDREF", _dcm("112040", "Tracking Unique Identifier"), UID=f"2.25.{one.id.int}"),
    ]
    if kind in REGIONS:
        content += _regions(of, "CONTAINS", _dcm("111030", "Image Region"))
        content += [_number(quantity, _name(quantity, kind)) for quantity in of.quantities]
        content += _value_items(of)
    else:
        for quantity in of.quantities:
            number = _number(quantity, _name(quantity, kind))
            number.ContentSequence = _regions(of, "INFERRED FROM", _dcm("121112", "Source of Measurement"))
            content.append(number)
    group = _container(_dcm("125007", "Measurement Group"), content)
    group.ContentTemplateSequence = [
        _item(MappingResource="DCMR", TemplateIdentifier="1410" if kind in REGIONS else "1501")
    ]
    return group


def _name(quantity: Quantity, kind: Kind) -> Code:
    return _QUANTITIES.get((quantity.name, kind)) or _QUANTITIES[quantity.name, None]


def _value_items(of: Measured) -> list[Dataset]:
    name = _ATTENUATION if of.value_unit == "HU" else _STORED_VALUE
    items = []
    for field, derivation in _DERIVATIONS:
        value = getattr(of.values, field, None)
        if value is not None:
            item = _number(Quantity(field, value, of.value_unit), name)
            item.ContentSequence = [_code_item("HAS CONCEPT MOD", _dcm("121401", "Derivation"), derivation)]
            items.append(item)
    return items


def _regions(of: Measured, relationship: str, name: Code) -> list[Dataset]:
    """Spatial coordinates, of two lines two, each in the image that it was selected from."""
    items = []
    for kind, points in _figures(of.measurement.drawn.kind, of.measurement.drawn.points):
        image = _item(RelationshipType="SELECTED FROM", ValueType="IMAGE", ReferencedSOPSequence=_references([of]))
        item = _content(relationship, "SCOORD", name, GraphicType=kind, ContentSequence=[image])
        item.GraphicData = [part for point in points for part in point]
        items.append(item)
    return items


def _library(of: Sequence[Measured]) -> list[Dataset]:
    references = _references(of, with_frames=False)
    return [_item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=[one]) for one in references]


def _number(quantity: Quantity, name: Code) -> Dataset:
    unit = _UCUM.get(quantity.unit, _NO_UNIT)
    meaning = quantity.unit or "no units"
    value = _item(
        NumericValue=_decimal(quantity.value), MeasurementUnitsCodeSequence=[_code(Code(unit, "UCUM", meaning))]
    )
    value.FloatingPointValue = quantity.value
    return _content("CONTAINS", "NUM", name, MeasuredValueSequence=[value])


def _decimal(value: float) -> str:
    """DS: at most 16 characters (PS3.5 §6.2)."""
    for digits in range(16, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= _LONGEST_DS:
            return text
    raise AssertionError("one digit and its exponent are shorter")


_LONGEST_DS = 16


def _container(name: Code, content: Sequence[Dataset]) -> Dataset:
    return _content("CONTAINS", "CONTAINER", name, ContinuityOfContent="SEPARATE", ContentSequence=list(content))


def _code_item(relationship: str, name: Code, value: Code) -> Dataset:
    return _content(relationship, "CODE", name, ConceptCodeSequence=[_code(value)])


def _content(relationship: str, value_type: str, name: Code, **values: object) -> Dataset:
    concept = [_code(name)]
    return _item(RelationshipType=relationship, ValueType=value_type, ConceptNameCodeSequence=concept, **values)


def _code(code: Code) -> Dataset:
    return _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme, CodeMeaning=code.meaning)
