"""The open set: fetched whole or not at all, unpacked whole or not at all."""

import hashlib
import http.server
import io
import os
import tarfile
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
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


def packed(members: Mapping[str, bytes], **fields: object) -> bytes:
    """Return a tar of files, with any field set, also to what no honest program writes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in fields.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def offer(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Server]:
    """Return what puts an archive where MONAI's tables say that Task01 is."""
    from monai.apps.datasets import DecathlonDataset

    def put(archive: bytes) -> Server:
        server.content = archive
        monkeypatch.setitem(DecathlonDataset.resource, TASK, server.url)
        monkeypatch.setitem(DecathlonDataset.md5, TASK, hashlib.md5(archive).hexdigest())
        return server

    return put


@pytest.fixture
def offered(offer: Callable[[bytes], Server]) -> Server:
    return offer(packed(FILES))


Usage = namedtuple("Usage", ["free"])


# --- fetching


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    for _ in range(2):
        path = download.fetch(server.url, MD5, folder)
        assert path.read_bytes() == CONTENT
    assert left_in(folder) == [f"{TASK}.tar"]
    assert len(server.asked) == 1


def test_a_wrong_digest_is_refused_and_the_file_is_gone(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{server.url}: its MD5 is not {'0' * 32}; it was del"):
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
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/a.tar: HTTPConnectionPool"):
        download.fetch("http://127.0.0.1:9/a.tar", MD5, tmp_path)


def test_a_file_that_was_fetched_by_hand_is_kept_until_it_is_whole(
    server: Server, tmp_path: Path
) -> None:
    part = tmp_path / f"{TASK}.tar"
    part.write_bytes(CONTENT[:3000])
    with pytest.raises(DataError, match=f"{part}: its MD5 is not {MD5}; .*curl -C - -O"):
        download.fetch(server.url, MD5, tmp_path)
    assert part.read_bytes() == CONTENT[:3000]
    part.write_bytes(CONTENT)
    assert download.fetch(server.url, MD5, tmp_path) == part
    assert server.asked == []


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


def test_too_little_disk_to_unpack_is_said_before_the_first_file(
    offered: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frees = iter([10**10, 1_024_001])
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: Usage(next(frees)))
    with pytest.raises(DataError, match=r"1,024,002 bytes are needed and 1,024,001 are free"):
        download.fetch_open("msd_task01", tmp_path)
    assert left_in(tmp_path) == [f"{TASK}.tar"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (f"{TASK}/../../outside", {}),
        (f"{TASK}/a", {"type": tarfile.SYMTYPE, "linkname": "../../outside"}),
        (f"{TASK}/a", {"type": tarfile.CHRTYPE}),
    ],
    ids=["up", "link", "device"],
)
def test_a_member_that_escapes_is_refused_and_leaves_nothing(
    name: str, fields: dict[str, object], offer: Callable[[bytes], Server], tmp_path: Path
) -> None:
    offer(packed({name: b""}, **fields))
    with pytest.raises(DataError, match=f"{TASK}.tar: not unpacked .*; take another copy"):
        download.fetch_open("msd_task01", tmp_path / "in")
    assert left_in(tmp_path / "in") == [f"{TASK}.tar"]
    assert left_in(tmp_path) == ["in"]


def test_a_stop_while_unpacking_leaves_nothing(
    offered: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        download.fetch_open("msd_task01", tmp_path)
    assert left_in(tmp_path) == [f"{TASK}.tar"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "brats2020",
            r"BraTS 2020 cannot be fetched .*\(registration\): get it at https://\S*brats2020/regis",
        ),
        ("brats2020", r"make report STUDY=brats DATA=/that/folder"),
        (
            "ucsf_pdgm",
            r"\(by hand\): get it at https://\S*/ucsf-pdgm/ .*name ucsf_pdgm under data\.",
        ),
    ],
)
def test_other_sets_say_where_they_are(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        download.fetch_open(name, tmp_path / "x")
    assert left_in(tmp_path) == []


def test_no_address_of_an_archive_stands_in_the_project() -> None:
    for path in (*PACKAGE_DIR.rglob("*.py"), PROJECT_DIR / "data" / "catalogue.yml"):
        assert "amazonaws" not in path.read_text(encoding="utf-8"), path
