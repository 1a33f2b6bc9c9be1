"""The open set: fetched whole or not at all, unpacked whole or not at all."""

import hashlib
import http.server
import io
import os
import tarfile
import threading
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gliomalib.data import download
from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR
from gliomalib.schema import DataError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()
TASK = "Task01_BrainTumour"
FILES = {f"{TASK}/dataset.json": b"{}", f"{TASK}/imagesTr/BRATS_001.nii.gz": CONTENT}


@dataclass
class Server:
    """What the server sends, after how many bytes it breaks off, and what it was asked."""

    content: bytes = CONTENT
    code: int = 200
    breaks_at: int | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            state.asked.append(self.path)
            if state.code != 200:
                self.send_error(state.code)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            self.wfile.write(state.content[: state.breaks_at])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}/{TASK}.tar"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield state
        running.shutdown()
        thread.join(timeout=5)


def left_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208 - hidden names count


def entry(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member with any field set, also to what no honest program writes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, content


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


GOOD = packed(*(entry(name, content) for name, content in FILES.items()))


@pytest.fixture
def offered(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Put an archive where MONAI's table says that Task01 is."""
    from monai.apps.datasets import DecathlonDataset

    server.content = GOOD
    monkeypatch.setitem(DecathlonDataset.resource, TASK, server.url)
    monkeypatch.setitem(DecathlonDataset.md5, TASK, hashlib.md5(GOOD).hexdigest())
    return server


# --- fetching


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    for _ in range(2):
        path = download.fetch(server.url, MD5, str(folder))
        assert path.read_bytes() == CONTENT
    assert left_in(folder) == [f"{TASK}.tar"]
    assert len(server.asked) == 1


def test_a_wrong_digest_is_refused_and_the_file_is_gone(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{server.url}: the MD5 .* is not {'0' * 32}, .*deleted"):
        download.fetch(server.url, "0" * 32, tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("fault", [{"breaks_at": 3000}, {"code": 404}, {"code": 503}])
def test_what_cannot_be_fetched_says_how_to_resume_and_leaves_nothing(
    fault: dict[str, int], server: Server, tmp_path: Path
) -> None:
    for name, value in fault.items():
        setattr(server, name, value)
    with pytest.raises(DataError) as caught:
        download.fetch(server.url, MD5, tmp_path)
    assert f"in {tmp_path} by curl -C - -O {server.url}" in str(caught.value)
    assert left_in(tmp_path) == []


def test_a_server_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/a.tar: cannot be fetched \("):
        download.fetch("http://127.0.0.1:9/a.tar", MD5, tmp_path)


def test_a_file_that_was_fetched_by_hand_is_kept_until_it_is_whole(
    server: Server, tmp_path: Path
) -> None:
    part = tmp_path / f"{TASK}.tar"
    part.write_bytes(CONTENT[:3000])
    with pytest.raises(DataError, match=f"{part}: its MD5 is not {MD5}, .*curl -C - -O"):
        download.fetch(server.url, MD5, tmp_path)
    assert part.read_bytes() == CONTENT[:3000]
    part.write_bytes(CONTENT)
    assert download.fetch(server.url, MD5, tmp_path) == part
    assert server.asked == []


# --- unpacking


def write(folder: Path, content: bytes) -> Path:
    path = folder / "set.tar"
    path.write_bytes(content)
    return path


def test_an_honest_archive_comes_out_whole(tmp_path: Path) -> None:
    odd = entry(f"{TASK}/._odd", mode=0o6777, uid=12345, uname="x")
    folder = entry(f"./{TASK}/empty", b"", type=tarfile.DIRTYPE)
    whole = packed(*(entry(name, content) for name, content in FILES.items()), odd, folder)
    place = download.unpack(write(tmp_path, whole), TASK, 10**7)
    assert place == tmp_path / TASK
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES
    assert (place / "empty").is_dir()
    assert (place / "._odd").stat().st_mode & 0o7022 == 0
    assert (place / "._odd").stat().st_uid == os.geteuid()
    assert left_in(tmp_path) == [TASK, "set.tar"]


BAD_MEMBERS = {
    "absolute": entry("/etc/passwd"),
    "up": entry(f"{TASK}/../../outside"),
    "symbolic link": entry(f"{TASK}/a", b"", type=tarfile.SYMTYPE, linkname="../../outside"),
    "link inside": entry(f"{TASK}/a", b"", type=tarfile.SYMTYPE, linkname="dataset.json"),
    "hard link": entry(f"{TASK}/a", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device": entry(f"{TASK}/a", b"", type=tarfile.CHRTYPE),
    "pipe": entry(f"{TASK}/a", b"", type=tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_a_member_that_escapes_is_refused_before_anything_is_written(
    name: str, tmp_path: Path
) -> None:
    good = entry(f"{TASK}/dataset.json")
    path = write(tmp_path, packed(good, BAD_MEMBERS[name]))
    with pytest.raises(DataError) as caught:
        download.unpack(path, TASK, 10**7)
    assert str(caught.value).startswith(f"{path}: not unpacked, {BAD_MEMBERS[name][0].name!r} ")
    assert left_in(tmp_path) == ["set.tar"]


Usage = namedtuple("Usage", ["free"])


def sparse(n_bytes: int) -> bytes:
    """Return a tar of 10 kB with one file that is all hole: a bomb."""
    member = tarfile.TarInfo(f"{TASK}/a")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    # old GNU format: four holes from byte 386 on, the real size at 483, the sum of all at 148
    header[386:482] = b"00000000000\0" * 8
    header[483:495] = tarfile.itn(n_bytes, 12, tarfile.GNU_FORMAT)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(10_240)


def test_a_bomb_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile.TarFile, "extractall")
    path = write(tmp_path, sparse(10**12))
    with pytest.raises(DataError, match=r"announces 1,000,000,000,000 bytes and at most 15,000 "):
        download.unpack(path, TASK, 15_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: Usage(10**9))
    with pytest.raises(DataError, match=r"1,000,000,000,000 bytes are needed and 1,000,000,000 "):
        download.unpack(path, TASK, 10**13)
    assert left_in(tmp_path) == ["set.tar"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no tar" * 999, "not unpacked"),
        (b"", "not unpacked"),
        (GOOD[:-30_000], "not unpacked"),
        (packed(entry("Task02_Heart/dataset.json")), f"has no folder {TASK}"),
    ],
    ids=["text", "empty", "truncated", "another set"],
)
def test_what_is_no_whole_archive_leaves_nothing(content: bytes, says: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=f"{path}: {says}.*fetch it again"):
        download.unpack(path, TASK, 10**7)
    assert left_in(tmp_path) == ["set.tar"]


def test_a_stop_while_unpacking_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        download.unpack(write(tmp_path, GOOD), TASK, 10**7)
    assert left_in(tmp_path) == ["set.tar"]


# --- the sets of the catalogue


def test_an_open_set_is_fetched_checked_and_unpacked(offered: Server, tmp_path: Path) -> None:
    folder = download.fetch_open("msd_task01", tmp_path / "new")
    assert folder == tmp_path / "new" / TASK
    assert {name: (tmp_path / "new" / name).read_bytes() for name in FILES} == FILES
    assert left_in(folder.parent) == [TASK, f"{TASK}.tar"]


def test_a_folder_that_is_there_is_left_alone(offered: Server, tmp_path: Path) -> None:
    (tmp_path / TASK).mkdir()
    (tmp_path / TASK / "mine").write_bytes(b"mine")
    assert download.fetch_open("msd_task01", tmp_path) == tmp_path / TASK
    assert left_in(tmp_path) == [TASK]
    assert (left_in(tmp_path / TASK), offered.asked) == (["mine"], [])


def test_too_little_disk_is_said_before_the_first_byte(
    offered: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: Usage(10**9))
    with pytest.raises(DataError, match=f"{tmp_path}: 7,600,000,000 bytes are needed"):
        download.fetch_open("msd_task01", tmp_path)
    assert offered.asked == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("brats2020", r"BraTS 2020 cannot be fetched .*register at https://\S*brats2020/regis"),
        ("brats2020", r"make report STUDY=brats DATA=/that/folder"),
        ("ucsf_pdgm", r"download it at https://\S*/ucsf-pdgm/ .*name ucsf_pdgm under data\."),
    ],
)
def test_other_sets_say_where_they_are(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        download.fetch_open(name, tmp_path / "x")
    assert left_in(tmp_path) == []


def test_no_address_of_an_archive_stands_in_the_project() -> None:
    for path in (*PACKAGE_DIR.rglob("*.py"), PROJECT_DIR / "data" / "catalogue.yml"):
        assert "amazonaws" not in path.read_text(encoding="utf-8"), path
