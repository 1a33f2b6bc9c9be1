"""Fetching over a bad line: a server of the test's own breaks off, changes and refuses."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import io
import json
import logging
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gliomalib.data import download
from gliomalib.provenance import PACKAGE_DIR
from gliomalib.schema import DataError, SettingsError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    heeds_if_range: bool = True
    length: bool = True
    breaks_at: list[int] = field(default_factory=list)
    """Bytes after which an answer breaks off; one for each request, then whole answers."""
    codes: list[int] = field(default_factory=list)
    shift: int = 0
    change: Any = None
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    def path(self, name: str = "set.tar") -> str:
        return f"{self.url}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    """A server as ``state`` says it is."""

    state: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.state.asked.append(wanted)
        if self.state.codes:
            self.send_error(self.state.codes.pop(0))
            return
        start = self.start(wanted)
        if start and start >= len(self.state.content):
            self.send_error(416)
            return
        self.answer(start)

    def start(self, wanted: str | None) -> int:
        # a weak ETag never matches in If-Range (RFC 9110, 13.1.5)
        strong = None if (self.state.etag or "").startswith("W/") else self.state.etag
        known = (None, strong, self.state.modified)
        if self.state.heeds_if_range and self.headers.get("If-Range") not in known:
            return 0
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        return int(match[1]) if match and self.state.ranges else 0

    def answer(self, start: int) -> None:
        body, total = self.state.content[start:], len(self.state.content)
        first = start + self.state.shift
        headers = {
            "Content-Length": str(len(body)) if self.state.length else None,
            "Content-Range": f"bytes {first}-{total - 1}/{total}" if start else None,
            "ETag": self.state.etag,
            "Last-Modified": self.state.modified,
        }
        self.send_response(206 if start else 200)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.state.breaks_at:
            body = body[: self.state.breaks_at.pop(0)]
        self.state.sent += len(body)
        self.wfile.write(body)
        if self.state.change:
            self.state.change()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "WAIT_S", 0.001)
    monkeypatch.setattr(download, "WORTH_A_TRY", 1000)
    state = Server()
    handler = type("Handler", (Handler,), {"state": state})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield state
        running.shutdown()
        thread.join(timeout=5)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stop_halfway(server: Server, path: Path, at: int = 300_000) -> None:
    """Leave a part behind, as a call does that gave up."""
    server.breaks_at = [at, *[0] * download.TRIES]
    with pytest.raises(DataError, match="given up"):
        download.fetch(server.path(), path, MD5, "md5")
    assert left_in(path.parent) == ["set.tar.part", "set.tar.part.json"]
    assert path.with_name("set.tar.part").read_bytes() == server.content[:at]
    server.breaks_at, server.asked, server.sent = [], [], 0


@pytest.mark.parametrize(
    ("checksum", "algorithm"), [(MD5, "md5"), (SHA256, "sha256"), (f" {MD5.upper()}\n", "md5")]
)
def test_a_file_is_fetched_once(
    server: Server, tmp_path: Path, checksum: str, algorithm: download.Algorithm
) -> None:
    path = tmp_path / "deep" / "set.tar"
    assert download.fetch(server.path(), path, checksum, algorithm) == path
    assert path.read_bytes() == CONTENT
    assert left_in(path.parent) == ["set.tar"]
    assert download.fetch(server.path(), path, checksum, algorithm) == path
    assert server.asked == [None]


@pytest.mark.parametrize("length", [True, False])
def test_a_server_that_says_no_size_is_fine(server: Server, tmp_path: Path, length: bool) -> None:
    server.length, server.etag = length, None
    path = download.fetch(server.path(), tmp_path / "set.tar", SHA256, "sha256")
    assert path.read_bytes() == CONTENT


# --- broken lines


def test_a_broken_line_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks_at = [100_000, 200_000, 50_000]
    path = download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=300000-", "bytes=350000-"]
    assert server.sent == len(CONTENT)


@pytest.mark.parametrize(
    ("etag", "modified"),
    [
        ('"one"', None),
        (None, "Wed, 21 Oct 2015 07:28:00 GMT"),
        ('W/"weak"', "Wed, 21 Oct 2015 07:28:00 GMT"),
        (None, None),
    ],
)
def test_a_later_call_goes_on(
    server: Server, tmp_path: Path, etag: str | None, modified: str | None
) -> None:
    server.etag, server.modified = etag, modified
    path = tmp_path / "set.tar"
    stop_halfway(server, path)
    download.fetch(server.path(), path, MD5, "md5")
    assert path.read_bytes() == CONTENT
    assert (server.asked, server.sent) == (["bytes=300000-"], len(CONTENT) - 300_000)
    assert left_in(tmp_path) == ["set.tar"]


def test_a_part_that_is_complete_is_only_checked(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    stop_halfway(server, path)
    path.with_name("set.tar.part").write_bytes(CONTENT)
    download.fetch(server.path(), path, MD5, "md5")
    assert server.asked == []
    assert path.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_starts_anew(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.ranges = False
    server.breaks_at = [400_000, 700_000]
    path = download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=400000-", "bytes=700000-"]
    assert "the server sends no part of this file" in caplog.text


def test_a_server_that_ignores_ranges_and_always_breaks_off_is_given_up(
    server: Server, tmp_path: Path
) -> None:
    server.ranges = False
    server.breaks_at = [400_000, 100_000] * 50
    with pytest.raises(DataError, match=r"given up after 6 tries.*broke off at 400,000 of 1,024,0"):
        download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert len(server.asked) == 1 + download.TRIES


def test_slow_progress_is_not_given_up(server: Server, tmp_path: Path) -> None:
    server.breaks_at = [40_000] * 20
    path = download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 21 > download.TRIES


def test_tries_without_progress_are_bounded_and_wait_longer(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    monkeypatch.setattr(download, "LONGEST_WAIT_S", 0.006)
    server.breaks_at = [500] * 100
    with pytest.raises(DataError, match=r"given up after 6 tries .* bytes are kept in .*\.part"):
        download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert waits == [0.001, 0.002, 0.004, 0.006, 0.006]


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.codes = [503, 429, 500]
    path = download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 4


def test_a_server_that_falls_silent_is_left(server: Server, tmp_path: Path) -> None:
    silence, heard = threading.Event(), []
    server.breaks_at, server.change = [100_000], lambda: heard.append(silence.wait(60))
    path = download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5", timeout_s=0.3)
    before_it_speaks = list(heard)
    silence.set()
    assert before_it_speaks == [], "the file was there only once the server had gone on"
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_a_line_that_stays_open_is_not_waited_for(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    silence = threading.Event()
    server.change = lambda: silence.wait(5)
    path = download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5", timeout_s=0.3)
    silence.set()
    assert path.read_bytes() == CONTENT
    assert "next try" not in caplog.text


def test_a_part_that_is_complete_without_a_known_size_starts_anew(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "set.tar"
    note = {"url": server.path(), "version": server.etag, "size": None}
    path.with_name("set.tar.part").write_bytes(CONTENT)
    path.with_name("set.tar.part.json").write_text(json.dumps(note))
    download.fetch(server.path(), path, MD5, "md5")
    assert path.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-", None]


# --- files that change


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("etag", ['"two"', None])
def test_a_changed_file_is_not_glued_to_an_old_part(
    server: Server, tmp_path: Path, heeds: bool, etag: str | None
) -> None:
    """The server may heed If-Range; if not, the ETag or the size of its answer tells."""
    path = tmp_path / "set.tar"
    server.etag = '"one"' if etag else None
    stop_halfway(server, path)
    new = CONTENT[::-1] + (b"" if etag else b"longer")
    server.content, server.etag, server.heeds_if_range = new, etag, heeds
    download.fetch(server.path(), path, hashlib.md5(new).hexdigest(), "md5")
    assert path.read_bytes() == new
    assert server.asked == (["bytes=300000-"] if heeds and etag else ["bytes=300000-", None])


def test_a_file_that_changes_between_two_tries_starts_anew(server: Server, tmp_path: Path) -> None:
    new = CONTENT[::-1]

    def change() -> None:
        server.content, server.etag, server.change = new, '"two"', None

    server.breaks_at, server.change = [100_000], change
    path = download.fetch(server.path(), tmp_path / "set.tar", hashlib.md5(new).hexdigest(), "md5")
    assert path.read_bytes() == new


def test_a_file_that_became_shorter_starts_anew(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    server.etag = None
    stop_halfway(server, path)
    server.content = CONTENT[:1000]
    checksum = hashlib.md5(server.content).hexdigest()
    download.fetch(server.path(), path, checksum, "md5")
    assert path.read_bytes() == server.content


def test_bytes_from_another_place_are_not_taken(server: Server, tmp_path: Path) -> None:
    server.breaks_at, server.shift = [100_000], 7
    path = download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", None]


@pytest.mark.parametrize(
    "harm",
    ["other address", "no note", "damaged note", "note says nothing", "longer part"],
)
def test_a_part_of_unknown_origin_is_not_gone_on_with(
    server: Server, tmp_path: Path, harm: str
) -> None:
    path = tmp_path / "set.tar"
    stop_halfway(server, path)
    note = path.with_name("set.tar.part.json")
    if harm == "other address":
        note.write_text(json.dumps({**json.loads(note.read_text()), "url": "http://x"}))
    elif harm == "note says nothing":
        note.write_text(json.dumps({"url": server.path(), "version": "", "size": None}))
    elif harm == "no note":
        note.unlink()
    elif harm == "damaged note":
        note.write_text('{"url":')
    else:
        path.with_name("set.tar.part").write_bytes(CONTENT + b"more")
    download.fetch(server.path(), path, MD5, "md5")
    assert path.read_bytes() == CONTENT
    assert server.asked == [None]


# --- checksums


def test_a_wrong_checksum_names_both_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    wrong = hashlib.md5(b"other").hexdigest()
    with pytest.raises(DataError, match=f"md5 is {MD5}, expected {wrong}; the download was delet"):
        download.fetch(server.path(), tmp_path / "set.tar", wrong, "md5")
    assert left_in(tmp_path) == []


def test_a_damaged_part_is_found_by_the_checksum(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    stop_halfway(server, path)
    path.with_name("set.tar.part").write_bytes(bytes(300_000))
    with pytest.raises(DataError, match=f"expected {MD5}"):
        download.fetch(server.path(), path, MD5, "md5")
    assert left_in(tmp_path) == []
    assert download.fetch(server.path(), path, MD5, "md5").read_bytes() == CONTENT


def test_another_file_in_the_way_is_kept(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    path.write_bytes(b"mine")
    mine = hashlib.md5(b"mine").hexdigest()
    with pytest.raises(DataError, match=rf"another file is there, md5 is {mine}, expected {MD5}"):
        download.fetch(server.path(), path, MD5, "md5")
    assert (path.read_bytes(), server.asked) == (b"mine", [])


# --- errors that no second try mends


@pytest.mark.parametrize("code", [404, 403, 410, 401])
def test_an_address_that_is_not_there_is_asked_once(
    server: Server, tmp_path: Path, code: int
) -> None:
    server.codes = [code] * 9
    with pytest.raises(DataError, match=rf"set\.tar: the server said {code} .* provider's page"):
        download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert len(server.asked) == 1
    assert left_in(tmp_path) == []


def test_no_network(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"given up after 6 tries .*no connection, .*network"):
        download.fetch("http://127.0.0.1:9/set.tar", tmp_path / "set.tar", MD5, "md5")
    with pytest.raises(DataError, match=r"given up .*no connection"):
        download.fetch("http://nowhere.invalid/set.tar", tmp_path / "set.tar", MD5, "md5")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/set.tar", "set.tar"])
def test_only_http_is_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="only http and https"):
        download.fetch(url, tmp_path / "set.tar", MD5, "md5")
    assert left_in(tmp_path) == []


def test_too_little_disk_is_said_before_the_first_byte(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = download.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"1,024,000 bytes are still to come, 1,000 are free"):
        download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert len(server.asked) == 1


def test_a_disk_that_runs_full_is_no_reason_to_try_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    def full(self: Path, mode: str = "r", **more: Any) -> Any:
        return Full() if mode == "ab" else real(self, mode, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match=r"set\.tar: cannot be written \(No space left.*make room"):
        download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert len(server.asked) == 1


def test_a_place_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot be written .*see to the permissions"):
        download.fetch(server.path(), tmp_path / "file" / "set.tar", MD5, "md5")
    assert server.asked == []


# --- progress


@pytest.fixture(autouse=True)
def _nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a notebook or a command has set up for the project's log in this process."""
    log = logging.getLogger("gliomalib")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", True)


def test_progress_is_logged_now_and_then(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A clock that runs a minute a look; what is read at once is a quarter of the file."""
    caplog.set_level(logging.INFO, "gliomalib")
    seconds = iter(range(0, 10_000, 60))
    monkeypatch.setattr(download.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(download, "_CHUNK", len(CONTENT) // 4)
    monkeypatch.setattr(http.client.HTTPResponse, "read1", http.client.HTTPResponse.read)
    monkeypatch.setattr(download, "PROGRESS_S", 60.0)
    download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "set.tar: 25 %, 3 min left",
        "set.tar: 50 %, 2 min left",
        "set.tar: 75 %, 1 min left",
        "set.tar: 100 %, 0 min left",
        f"set.tar: complete, md5 {MD5}",
    ]
    assert {record.name for record in caplog.records} == {"gliomalib.data.download"}
    assert capsys.readouterr() == ("", "")


def test_progress_is_not_logged_more_often(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gliomalib")
    server.length = False
    download.fetch(server.path(), tmp_path / "set.tar", MD5, "md5")
    assert [record.getMessage() for record in caplog.records] == [
        f"set.tar: complete, md5 {MD5}",
    ]


# --- open sets


def decathlon(*names: str) -> bytes:
    """Return a tar with a small file of each name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:") as packed:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            packed.addfile(entry, io.BytesIO(name.encode()))
    return stream.getvalue()


def offer(
    server: Server, monkeypatch: pytest.MonkeyPatch, content: bytes, checksum: str = ""
) -> None:
    """Put an archive where MONAI's table says that Task01 is."""
    from monai.apps.datasets import DecathlonDataset

    server.content = content
    task = "Task01_BrainTumour"
    monkeypatch.setitem(DecathlonDataset.resource, task, server.path(f"{task}.tar"))
    monkeypatch.setitem(DecathlonDataset.md5, task, checksum or hashlib.md5(content).hexdigest())


def test_an_open_set_is_fetched_checked_and_unpacked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["Task01_BrainTumour/dataset.json", "Task01_BrainTumour/imagesTr/BRATS_001.nii.gz"]
    offer(server, monkeypatch, decathlon(*names))
    server.breaks_at = [700]
    folder = download.fetch_open("msd_task01", tmp_path)
    assert folder == tmp_path / "Task01_BrainTumour"
    assert [(tmp_path / name).read_text() for name in names] == names
    assert left_in(tmp_path) == ["Task01_BrainTumour", "Task01_BrainTumour.tar"]
    assert download.fetch_open("msd_task01", tmp_path) == folder
    assert server.asked == [None, "bytes=700-"]


def test_monai_has_the_last_word(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch, decathlon("Task01_BrainTumour/dataset.json"))
    monkeypatch.setattr("monai.apps.utils.check_hash", lambda *_: False)
    with pytest.raises(DataError, match="MONAI does not confirm MD5"):
        download.fetch_open("msd_task01", tmp_path)
    assert left_in(tmp_path) == ["Task01_BrainTumour.tar"]


def test_an_archive_with_another_folder_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch, decathlon("Task02_Heart/dataset.json"))
    with pytest.raises(DataError, match="holds no folder Task01_BrainTumour"):
        download.fetch_open("msd_task01", tmp_path)


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


def test_an_unknown_set_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"no data set 'msd': take one of brats2018, .*upenn_gbm"
    ):
        download.fetch_open("msd", tmp_path)


def test_no_address_of_an_archive_stands_in_the_code() -> None:
    for path in (PACKAGE_DIR / "datasets").glob("*.py"):
        assert "amazonaws" not in path.read_text(encoding="utf-8"), path
