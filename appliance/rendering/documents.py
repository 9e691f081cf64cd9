"""Structured reports as a page and as plain text (PS3.18 §8.7.4: what ``rendered`` gives of a document).

All of it is what the file says, escaped; there is no script, no style and no address of another server in the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from appliance.domain.documents import Code, Document, Pointer, Statement, written

_DEEPEST_HEADING = 6


def page_of(document: Document) -> bytes:
    """HTML, UTF-8."""
    title = escape(document.title) or "Document"
    body = "".join(
        (
            f"<h1>{title}</h1>\n",
            *(f"<p>{escape(line)}</p>\n" for line in _head(document)),
            *_html_of_children(document.root, 2),
        )
    )
    head = f'<meta charset="utf-8">\n<title>{title}</title>\n'
    return f"<!doctype html>\n<html>\n<head>\n{head}</head>\n<body>\n{body}</body>\n</html>\n".encode()


def text_of(document: Document) -> bytes:
    """The same as indented lines, UTF-8."""
    lines = [document.title or "Document", *_head(document), ""]
    for child in document.root.children:
        lines += _lines(child, 0)
    return "\n".join((*lines, "")).encode()


def _head(document: Document) -> Iterator[str]:
    if document.date:
        yield " ".join(filter(None, (document.date, document.time)))
    if document.is_complete is not None:
        yield "Complete" if document.is_complete else "Partial"
    if document.is_verified is not None:
        yield "Verified" if document.is_verified else "Not verified"
    for one in document.verifiers:
        yield ", ".join(filter(None, (one.name.replace("^", " ").strip(), one.organisation, one.at)))


def _html_of_children(statement: Statement, level: int) -> Iterator[str]:
    """A heading for what contains, a list of what is stated."""
    is_list = False
    for child in statement.children:
        is_heading = child.kind == "CONTAINER"
        if is_heading == is_list:
            yield "</ul>\n" if is_list else "<ul>\n"
            is_list = not is_list
        if is_heading:
            number = min(level, _DEEPEST_HEADING)
            yield f"<section>\n<h{number}>{escape(_name(child)) or '&hellip;'}</h{number}>\n"
            yield from _html_of_children(child, level + 1)
            yield "</section>\n"
        else:
            yield f"<li>{_html_of(child)}"
            yield from _html_of_children(child, level + 1)
            yield "</li>\n"
    if is_list:
        yield "</ul>\n"


def _html_of(statement: Statement) -> str:
    name, said = escape(_name(statement)), escape(_said(statement)).replace("\n", "<br>")
    return f"<strong>{name}:</strong> {said}" if name and said else f"<strong>{name}</strong>" if name else said


def _lines(statement: Statement, depth: int) -> Iterator[str]:
    name, said = _name(statement), _said(statement)
    indent = "  " * depth
    words = f"{name}: {said}" if name and said else name or said
    first, *others = words.split("\n")
    yield indent + first
    for line in others:
        yield f"{indent}  {line}"
    for child in statement.children:
        yield from _lines(child, depth + 1)


def _name(statement: Statement) -> str:
    return _meaning(statement.name) if statement.name else ""


def _meaning(code: Code) -> str:
    return code.meaning or code.value


def _said(statement: Statement) -> str:
    return " ".join(filter(None, (written(statement), _address(statement.pointer), statement.same_as)))


def _address(pointer: Pointer | None) -> str:
    if pointer is None:
        return ""
    frames = f" [{', '.join(map(str, pointer.frames))}]" if pointer.frames else ""
    return f"{pointer.instance_uid}{frames}"
