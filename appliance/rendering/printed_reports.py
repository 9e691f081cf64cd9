"""A version of a report on paper: PDF, with who wrote it about whom, which version it is, and its signature.

reportlab sets it: it breaks long findings over pages, embeds the letters that are used, and needs nothing of the system but the
fonts that pictures are annotated with. (WeasyPrint would need Pango and a style sheet, fpdf2 a layout of our own.) The words are
a file for each language in ``report_words``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from appliance.domain.errors import Unavailable
from appliance.domain.reports import ImageLink, PatientWritten, Report, Version, VersionState

_FONTS = Path("/usr/share/fonts/truetype/dejavu")
"""Of Debian's fonts-dejavu-core (``provisioning/debian.py``)."""
_PLAIN, _BOLD = "DejaVuSans", "DejaVuSans-Bold"
_WORDS = Path(__file__).with_name("report_words")
_DEFAULT_LANGUAGE = "en"
_MARGIN = 20 * mm
_QUIET = colors.HexColor("#555555")
_LINE = colors.HexColor("#BBBBBB")
_WARNING = colors.HexColor("#A02020")
_LABEL_WIDTH = 38 * mm
_PARTS = ("description", "findings", "conclusion", "recommendation")


@dataclass(frozen=True, slots=True)
class PrintedReport:
    """What is printed."""

    report: Report
    version: Version
    institution_name: str
    patient: PatientWritten
    """As signed, or as they are called now where nothing is signed."""
    is_intact: bool
    language: str
    """As RFC 5646 names it; English where there are no words in it."""


def languages() -> tuple[str, ...]:
    """In which there are words."""
    return tuple(sorted(file.stem for file in _WORDS.glob("*.json")))


def printed(wanted: PrintedReport) -> bytes:
    """The version as a PDF of A4 pages. Raises Unavailable without the fonts."""
    _know_fonts()
    words = _words(wanted.language)
    out = BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN + 8 * mm,
        title=f"{words['report']} {wanted.report.id}",
        author=wanted.version.author.name,
        creator=wanted.institution_name,
        lang=words["language"],
        invariant=1,
    )
    footer = f"{wanted.institution_name} · {wanted.report.id} · {words['version'].format(number=wanted.version.number)}"
    document.build(list(_flow(wanted, words)), canvasmaker=lambda *a, **k: _Numbered(footer, words["page"], *a, **k))
    return out.getvalue()


def _flow(wanted: PrintedReport, words: dict[str, Any]) -> Iterator[Flowable]:
    version, content = wanted.version, wanted.version.content
    yield Paragraph(escape(wanted.institution_name), _style("institution", 11, bold=True, after=2))
    yield Paragraph(escape(content.record_type or words["report"]), _style("title", 17, bold=True, after=8))
    yield _facts(_particulars(wanted, words))
    yield Spacer(0, 5 * mm)
    for warning in _warnings(wanted, words):
        yield Paragraph(escape(warning), _style("warning", 9.5, colour=_WARNING, after=4))
    for part in _PARTS:
        text: str = getattr(content.text, part).strip()
        if text:
            yield from _section(words[part], text)
    if content.images:
        yield from _section(words["images"], "\n".join(_image_line(image, words) for image in content.images), size=7.5)
    yield Spacer(0, 6 * mm)
    yield KeepTogether(list(_signature(version, words)))


def _particulars(wanted: PrintedReport, words: dict[str, Any]) -> Iterable[tuple[str, str]]:
    patient, content = wanted.patient, wanted.version.content
    name = ", ".join(part for part in (patient.family_name, patient.given_name) if part) or words["unknown"]
    yield words["patient"], name
    yield words["birth_date"], _day(patient.birth_date, words)
    yield words["gender"], words["genders"][patient.gender] if patient.gender else words["unknown"]
    if patient.number:
        yield words["number"], patient.number
    if content.date:
        yield words["date"], _day(content.date, words)
    if content.study_uid:
        yield words["study"], content.study_uid
    yield words["author"], wanted.version.author.name
    yield words["report"], f"{wanted.report.id} · {words['version'].format(number=wanted.version.number)}"


def _warnings(wanted: PrintedReport, words: dict[str, Any]) -> Iterator[str]:
    version, final = wanted.version, wanted.report.final
    if version.state is VersionState.DRAFT:
        yield words["draft"]
    if version.state is VersionState.UNSIGNED:
        yield words["unsigned"]
    if version.state is VersionState.SIGNED and not wanted.is_intact:
        yield words["damaged"]
    if version.number > 1:
        yield words["amends"].format(number=version.number - 1, reason=version.content.reason)
    if final is not None and final.number > version.number:
        yield words["superseded"].format(number=final.number)


def _signature(version: Version, words: dict[str, Any]) -> Iterator[Flowable]:
    if version.signature is None:
        yield Paragraph(escape(words[version.state]), _style("unsigned", 10, bold=True))
        return
    at = version.signature.at.strftime(words["moment"])
    yield Paragraph(
        escape(words["signed"].format(name=version.signature.by.name, at=at)), _style("signed", 10, bold=True)
    )
    digits = words["sha256"].format(digits=version.signature.sha256)
    yield Paragraph(escape(digits), _style("hash", 7.5, colour=_QUIET))


def _facts(pairs: Iterable[tuple[str, str]]) -> Table:
    label, value = _style("label", 8.5, colour=_QUIET), _style("value", 10)
    rows = [[Paragraph(escape(name), label), Paragraph(escape(text), value)] for name, text in pairs]
    table = Table(rows, colWidths=[_LABEL_WIDTH, A4[0] - 2 * _MARGIN - _LABEL_WIDTH])
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
                ("LINEABOVE", (0, 0), (-1, 0), 0.5, _LINE),
                ("LINEBELOW", (0, -1), (-1, -1), 0.5, _LINE),
            ]
        )
    )
    return table


def _section(title: str, text: str, *, size: float = 10) -> Iterator[Flowable]:
    """A heading that does not stay alone at the end of a page, and a paragraph for each line, which may go over pages."""
    body = _style(f"body{size}", size, after=2)
    heading = _style("heading", 11, bold=True, before=7, after=3)
    heading.keepWithNext = 1
    yield Paragraph(escape(title), heading)
    for line in text.splitlines():
        yield Paragraph(escape(line), body) if line.strip() else Spacer(0, 2 * mm)


def _image_line(image: ImageLink, words: dict[str, Any]) -> str:
    if image.instance_uid is None:
        return str(words["series"].format(uid=image.series_uid))
    named = str(words["image"].format(uid=image.instance_uid))
    return f"{named}, {words['frame'].format(number=image.frame)}" if image.frame else named


def _day(day: date | None, words: dict[str, Any]) -> str:
    return day.strftime(words["day"]) if day else str(words["unknown"])


def _style(
    name: str, size: float, *, bold: bool = False, colour: Any = colors.black, before: float = 0, after: float = 0
) -> ParagraphStyle:
    return ParagraphStyle(
        name,
        fontName=_BOLD if bold else _PLAIN,
        fontSize=size,
        leading=size * 1.35,
        textColor=colour,
        spaceBefore=before,
        spaceAfter=after,
        splitLongWords=1,
    )


class _Numbered(Canvas):
    """Pages with a footer that says how many there are, which is known at the end."""

    def __init__(self, footer: str, page_words: str, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._footer, self._page_words = footer, page_words
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  # reportlab's name
        self._pages.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]  # as reportlab's own guide does it; its stubs leave it out

    def save(self) -> None:
        count = len(self._pages)
        for number, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            self.setFont(_PLAIN, 7.5)
            self.setFillColor(_QUIET)
            self.drawString(_MARGIN, _MARGIN * 0.75, self._footer)
            self.drawRightString(A4[0] - _MARGIN, _MARGIN * 0.75, self._page_words.format(number=number, count=count))
            super().showPage()
        super().save()


@cache
def _know_fonts() -> None:
    try:
        for name in (_PLAIN, _BOLD):
            pdfmetrics.registerFont(TTFont(name, str(_FONTS / f"{name}.ttf")))
    except TTFError as error:
        raise Unavailable("the fonts that reports are printed with are not installed", key="fonts-missing") from error


@cache
def _words(language: str) -> dict[str, Any]:
    chosen = language if language in languages() else _DEFAULT_LANGUAGE
    return {**json.loads((_WORDS / f"{chosen}.json").read_text(encoding="utf-8")), "language": chosen}
