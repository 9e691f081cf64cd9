"""The picture doors of a node in memory: the store, the render process and OpenGL are real."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import imagecodecs
import numpy as np
import pydicom
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import MeasurementsTold, MeasurementsWanted
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.domain.measurements import Measurement
from appliance.http.access import Access
from appliance.http.application import Root, resources
from appliance.http.asked_frames import AskedFrames
from appliance.http.measurement_files import measurement_files
from appliance.http.picture_answers import PictureAnswers
from appliance.http.pictures import Pictures
from appliance.http.scales import Scales
from appliance.http.study_objects import study_objects
from appliance.http.viewing import Viewing
from appliance.http.volume_pictures import VolumePictures
from appliance.services.archive import Archive
from appliance.services.audit import Auditing
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.services.measurement_export import MeasurementExport
from appliance.services.metrics import Metrics
from appliance.services.tokens import TokenSigner, TokenVerifier
from appliance.services.volume_selection import VolumeSelection
from appliance.storage.instances import StoreSettings
from tests.services.node_parts import NODE_ID, NodeParts, held_back, node_parts

CLINIC = InstitutionId(UUID(int=1))
BASE = "https://box.test"


@dataclass(frozen=True)
class Part:
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass
class PictureDoors:
    parts: NodeParts
    client: httpx.AsyncClient
    """Carries the token of a physician of the clinic."""
    signer: TokenSigner
    taken: dict[Path, str] = field(default_factory=dict)
    measured: dict[str, Sequence[Measurement]] = field(default_factory=dict)
    """What the institution says was measured, by study."""

    def token(self, at: InstitutionId = CLINIC) -> dict[str, str]:
        """Of a physician of an institution."""
        account = Account(AccountId(UUID(int=9)), "ana", "Ana", "Anić", frozenset({Role.PHYSICIAN}), at)
        return {"Authorization": f"Bearer {self.signer.sign(account).text}"}

    async def take_in(self, path: Path) -> str:
        """The path of the instance that is in the file, stored if it is not there yet."""
        if path not in self.taken:
            await self.parts.put(path.read_bytes())
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            levels = ("studies", ds.StudyInstanceUID, "series", ds.SeriesInstanceUID, "instances", ds.SOPInstanceUID)
            self.taken[path] = "/".join(("/dicom-web", *levels))
        return self.taken[path]

    async def get(self, path: str, accept: str | None = None, **query: str) -> httpx.Response:
        headers = {"Accept": accept} if accept else {}
        return await self.client.get(path, params=query, headers=headers)


@contextlib.asynccontextmanager
async def picture_doors(folder: Path, **limits: int) -> AsyncIterator[PictureDoors]:
    signer = TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)
    access = Access(TokenVerifier((signer.public_key,)))
    async with node_parts(folder) as parts:
        drawing = Drawing(DrawingSettings(StoreSettings(folder / "store", folder / "key", floor_bytes=0), **limits))
        await drawing.start()
        archive = Archive(parts.store, parts.threads)
        await archive.start()
        auditing = Auditing(parts.trail, parts.threads)
        answers = PictureAnswers(access, auditing, held_back(parts), drawing, Metrics())
        pictures = Pictures(parts.catalogue, archive, drawing, answers, base_url=BASE)
        volumes = VolumePictures(VolumeSelection(parts.catalogue, archive), drawing, answers)
        frames = AskedFrames(parts.catalogue, answers)
        viewing = Viewing(frames, parts.catalogue, archive, drawing, answers)
        scales = Scales(frames, archive, drawing)
        measured: dict[str, Sequence[Measurement]] = {}

        async def told(wanted: MeasurementsWanted) -> MeasurementsTold:
            return MeasurementsTold(tuple(measured.get(wanted.study_uid, ())))

        exporting = MeasurementExport(NODE_ID, told, parts.catalogue, archive, drawing)
        blueprints = [one.blueprint() for one in (pictures, volumes, viewing, scales)]
        blueprints.append(measurement_files(exporting, answers, auditing, access))
        blueprints.append(study_objects(parts.catalogue, archive, answers))
        root = Root(resources(blueprints), None, None)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=root)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            doors = PictureDoors(parts, client, signer, measured=measured)
            client.headers.update(doors.token())
            del client.headers["Accept"]
            try:
                yield doors
            finally:
                await archive.stop()
                await drawing.stop()


def parts_of(answer: httpx.Response) -> Sequence[Part]:
    """The parts of a multipart/related answer."""
    _, _, boundary = answer.headers["content-type"].partition("boundary=")
    pieces = answer.content.split(f"--{boundary}".encode())
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n"
    found = []
    for piece in pieces[1:-1]:
        head, _, body = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = (line.partition(": ") for line in head.decode().split("\r\n"))
        found.append(Part({name.lower(): value for name, _, value in lines}, body.removesuffix(b"\r\n")))
    return found


async def series_of(doors: PictureDoors, folder: Path, step: int = 1) -> str:
    """The path of the series whose files lie in ``folder``, every ``step``-th stored."""
    paths = [await doors.take_in(file) for file in sorted(folder.iterdir())[::step]]
    return paths[0].partition("/instances/")[0]


def grey(body: bytes) -> np.ndarray:
    return np.asarray(imagecodecs.png_decode(body)).astype(int)


def told(header: str) -> dict[str, str]:
    """What a header of names and values says."""
    return dict(item.split("=", 1) for item in header.split(", "))  # type: ignore[misc]


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split()]
