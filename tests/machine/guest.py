"""A machine of its own for a test: QEMU, driven over ssh, with disks that may be damaged and power that may be cut."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.machine.image import Image

_START_TIMEOUT_S = 900
"""Half a minute on a machine with nothing else to do, without KVM; many times that on one that is shared."""
_COMMAND_TIMEOUT_S = 1200
MEBIBYTE = 1 << 20


class GuestFailed(Exception):
    """The machine did not do what every machine does; its console is told."""


@dataclass(frozen=True)
class Answer:
    """What a command in the guest did."""

    command: str
    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return f"`{self.command}` ended with status {self.status}\n{self.out}{self.err}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accelerator() -> str:
    """KVM only where the processor itself says so: a ``/dev/kvm`` under another hypervisor may boot nothing at all."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return "kvm" if os.access("/dev/kvm", os.W_OK) and ("vmx" in flags or "svm" in flags) else "tcg,thread=multi"


def processor() -> str:
    """This machine's own under KVM; else one without AVX, with all that the wheels need.

    QEMU 7.2 emulates AVX2's gathers wrongly: with ``-cpu max`` NumPy sorted eight-byte integers into another order and crashed.
    """
    return "host" if accelerator() == "kvm" else "Westmere"


class Guest:
    """One machine: what it was given it keeps when its power is cut and it is started again."""

    def __init__(
        self, image: Image, folder: Path, *, disks: int = 4, disk_mib: int = 2048, memory_mib: int = 2048
    ) -> None:
        self._image = image
        self._folder = folder
        self._memory_mib = memory_mib
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: subprocess.Popen[bytes] | None = None
        self._tpm: subprocess.Popen[bytes] | None = None
        self._ssh_port = free_port()
        self.https_port = free_port()
        self.dimse_port = free_port()
        self.disks = [folder / f"disk{n}.img" for n in range(disks)]
        for disk in self.disks:
            with disk.open("wb") as file:
                file.truncate(disk_mib * MEBIBYTE)
        self._overlay = folder / "root.qcow2"
        _run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image.disk), "-F", "raw", str(self._overlay))
        self._key = folder / "key"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key))

    @property
    def console(self) -> Path:
        """All that it printed on its serial line, in every start."""
        return self._folder / "console.log"

    @property
    def system_disk(self) -> Path:
        """All that was ever written to its root; what the image has is in another file."""
        return self._overlay

    def start(self) -> None:
        """Its power is switched on; returns when it answers by ssh. Raises GuestFailed."""
        self._start_tpm()
        with (self._folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.await_answer()

    def await_answer(self) -> None:
        """Until it lets us in. Raises GuestFailed with what its console said last."""
        started = time.monotonic()
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                raise GuestFailed(f"QEMU ended: {(self._folder / 'qemu.log').read_text()[-2000:]}")
            if time.monotonic() - started > _START_TIMEOUT_S:
                raise GuestFailed(f"no answer for {_START_TIMEOUT_S} s; the console:\n{self._console_end()}")
            time.sleep(0.5)
        self._connect()

    def run(
        self,
        command: str | Sequence[str],
        *,
        given: bytes = b"",
        check: bool = True,
        timeout_s: float = _COMMAND_TIMEOUT_S,
    ) -> Answer:
        """What ``command``, a line for its shell or words, did; a status that is not 0 fails the test unless ``check`` is off."""
        line = command if isinstance(command, str) else shlex.join(command)
        done = subprocess.run(
            [*self._ssh(), "root@127.0.0.1", line], input=given, capture_output=True, check=False, timeout=timeout_s
        )
        answer = Answer(
            line, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and answer.status:
            raise AssertionError(answer.said)
        return answer

    def push(self, source: Path, target: str) -> None:
        """The file, or the folder with all in it, is ``target`` in the guest."""
        packed = subprocess.run(
            ["tar", "-C", str(source.parent), "--zstd", "-cf", "-", source.name], capture_output=True, check=True
        ).stdout
        name = shlex.quote(target)
        self.run(
            f"mkdir -p {name}.in && tar -C {name}.in --zstd -xf - && rm -rf {name} && mv {name}.in/* {name} && rmdir {name}.in",
            given=packed,
        )

    def pull(self, source: str) -> bytes:
        """What is in a file of the guest."""
        return base64.b64decode(self.run(f"base64 -w0 {shlex.quote(source)}").out)

    def cut_power(self) -> None:
        """Without a word to what runs in it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._disconnect()
        self._end_tpm()

    def restart(self) -> None:
        """In order, as an administrator does it."""
        self.power_off()
        self.start()

    def power_off(self) -> None:
        assert self._process is not None
        self.run("systemctl poweroff", check=False)
        self._process.wait(_START_TIMEOUT_S)
        self._disconnect()
        self._end_tpm()

    def end(self) -> None:
        """Nothing of it runs any more; its files stay."""
        if self._process is not None and self._process.poll() is None:
            self.cut_power()
        self._disconnect()
        self._end_tpm()

    def _answers(self) -> bool:
        probe = [*self._ssh(), "-o", "ConnectTimeout=20", "root@127.0.0.1", "true"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0

    def _connect(self) -> None:
        """One log-in that all commands share: without KVM each would cost seconds."""
        self._disconnect()
        self._connection = subprocess.Popen(
            [*self._ssh(), "-M", "-N", "root@127.0.0.1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started = time.monotonic()
        while not self._shared.exists() and self._connection.poll() is None:
            if time.monotonic() - started > _START_TIMEOUT_S:
                raise GuestFailed("ssh was let in once and not again")
            time.sleep(0.1)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.kill()
            self._connection.wait()
            self._connection = None
        self._shared.unlink(missing_ok=True)

    @property
    def _shared(self) -> Path:
        return self._folder / "ssh"

    def _ssh(self) -> list[str]:
        return [
            "ssh", "-o", f"ControlPath={self._shared}",
            "-p", str(self._ssh_port), "-i", str(self._key), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=30",
        ]  # fmt: skip

    def _command(self) -> list[str]:
        forwards = ",".join(
            f"hostfwd={kind}:127.0.0.1:{here}-:{there}"
            for kind, here, there in (
                ("tcp", self._ssh_port, 22),
                ("tcp", self.https_port, 443),
                ("udp", self.https_port, 443),
                ("tcp", self.dimse_port, 104),
            )
        )
        authorized = base64.b64encode(self._key.with_suffix(".pub").read_bytes()).decode()
        words = [
            "qemu-system-x86_64", "-accel", accelerator(), "-cpu", processor(), "-smp", "2", "-m", str(self._memory_mib),
            "-nodefaults", "-display", "none",
            "-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd),
            "-append", "root=LABEL=root rw console=ttyS0 quiet no_timer_check audit=0",
            "-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console",
            "-smbios", f"type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={authorized}",
            "-netdev", f"user,id=net,{forwards}", "-device", "virtio-net-pci,netdev=net",
            "-device", "virtio-rng-pci",
            *_disk("root", self._overlay, "qcow2", "unsafe"),
        ]  # fmt: skip
        for n, disk in enumerate(self.disks):
            words += _disk(f"disk{n}", disk, "raw", "writeback")
        tpm = self._folder / "tpm.sock"
        return [
            *words,
            *("-chardev", f"socket,id=tpm,path={tpm}", "-tpmdev", "emulator,id=tpm,chardev=tpm"),
            *("-device", "tpm-tis,tpmdev=tpm"),
        ]

    def _start_tpm(self) -> None:
        """A TPM in software; what it holds stays in its folder, as that of a board would."""
        state = self._folder / "tpm"
        state.mkdir(exist_ok=True)
        path = self._folder / "tpm.sock"
        path.unlink(missing_ok=True)
        self._tpm = subprocess.Popen(
            [
                "swtpm",
                "socket",
                "--tpm2",
                "--tpmstate",
                f"dir={state}",
                "--ctrl",
                f"type=unixio,path={path}",
                "--terminate",
            ],
            stdin=subprocess.DEVNULL,
        )
        started = time.monotonic()
        while not path.exists():
            if time.monotonic() - started > 60 or self._tpm.poll() is not None:
                raise GuestFailed("swtpm did not start")
            time.sleep(0.05)

    def exchange_tpm(self) -> None:
        """Another board: the disks are in a machine whose TPM knows nothing of them."""
        shutil.rmtree(self._folder / "tpm")

    def _end_tpm(self) -> None:
        if self._tpm is not None and self._tpm.poll() is None:
            self._tpm.send_signal(signal.SIGTERM)
            self._tpm.wait()
        self._tpm = None

    def _console_end(self) -> str:
        return self.console.read_text(errors="replace")[-3000:] if self.console.is_file() else ""


def blocks(disk: Path) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of all that was ever written, a MiB at a time; holes are left out. Blocks overlap by 4 KiB."""
    with disk.open("rb") as opened:
        position = 0
        while True:
            try:
                position = os.lseek(opened.fileno(), position, os.SEEK_DATA) // MEBIBYTE * MEBIBYTE
            except OSError as error:
                if error.errno == errno.ENXIO:  # there is nothing behind it
                    return
                raise
            opened.seek(position)
            yield position, opened.read(MEBIBYTE + 4096)
            position += MEBIBYTE


def digest(disk: Path) -> str:
    """SHA-256 of what is on the disk, holes left out."""
    total = hashlib.sha256()
    for offset, content in blocks(disk):
        if content.strip(b"\0"):
            total.update(offset.to_bytes(8, "big") + content)
    return total.hexdigest()


def holds(disk: Path, text: bytes) -> bool:
    """Whether the text, of at most 4 KiB, is anywhere on the disk."""
    return any(text in content for _, content in blocks(disk))


def _disk(name: str, file: Path, kind: str, cache: str) -> list[str]:
    return [
        *("-drive", f"if=none,id={name},file={file},format={kind},cache={cache}"),
        *("-device", f"virtio-blk-pci,drive={name},serial={name}"),
    ]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
