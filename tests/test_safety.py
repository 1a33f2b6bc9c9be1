"""Nothing that comes in is run, and nothing secret goes out.

What comes in at each door is tried in ``tests/fuzz``; here the calls that would run it are looked
for in the code, and what looks like a key in all that is committed.
"""

import ast
import io
import pickle
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gliomalib.networks import models
from gliomalib.provenance import PACKAGE_DIR, PROJECT_DIR
from gliomalib.schema import SettingsError
from gliomalib.settings import Classifier
from tests.fuzz import bombs

LOADERS = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
"""Calls that unpickle unless they are told not to."""

ACTING = re.compile(
    r"(pickle|marshal|shelve|joblib|dill|cloudpickle)\..*|.*\.(read_pickle|get_state_dict)"
    r"|(builtins\.)?(eval|exec|compile|__import__)|os\.(system|popen|exec\w+|spawn\w+)"
    r"|yaml\.(load|load_all|full_load|unsafe_load|unsafe_load_all)|shutil\.unpack_archive"
    r"|torch\.(jit\.load|hub\.load|hub\.load_state_dict_from_url)|.*\.load_from_checkpoint"
)
"""Calls that run what a file says, or can be made to."""

UNSAFE_LOADERS = tuple(f"yaml.{name}Loader" for name in ("", "Full", "Unsafe", "C", "CFull"))


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of a module by their dotted names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def faults(source: str) -> Iterator[str]:
    """Yield each thing in a module that can run what a file says."""
    for name, call in calls(source):
        said = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        if ACTING.fullmatch(name):
            yield name
        if name in LOADERS and said.get(LOADERS[name][0]) is not LOADERS[name][1]:
            yield f"{name} without {LOADERS[name][0]}={LOADERS[name][1]}"
        if said.get("shell") or said.get("allow_pickle"):
            yield f"{name} with a shell or with pickles"
        if name.endswith(".extractall") and said.get("filter") != "data":
            yield f"{name} without filter='data'"
        if name.endswith(".fit") and "ckpt_path" in said and said.get("weights_only") is not True:
            yield f"{name} of a checkpoint without weights_only=True"


def imports(source: str) -> Iterator[str]:
    """Yield what a module takes from elsewhere that can run what a file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in UNSAFE_LOADERS:
            yield ast.unparse(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None), *(alias.name for alias in node.names)]
            yield from {"pickle", "marshal", "shelve", "joblib", "dill"} & set(names)


def test_no_module_can_run_what_a_file_says() -> None:
    paths = sorted(PACKAGE_DIR.rglob("*.py"))
    wrong = [
        f"{path.name}: {fault}"
        for path in paths
        for search in (faults, imports)
        for fault in search(path.read_text())
    ]
    assert len(paths) > 100 and not wrong


@pytest.mark.parametrize(
    "line",
    [
        *("torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path)"),
        *("np.load(path, allow_pickle=True)", "import pickle", "from joblib import load"),
        *("yaml.load(text, yaml.Loader)", "class L(yaml.FullLoader): pass", "eval(text)"),
        *("pd.read_pickle(path)", "subprocess.run(line, shell=True)", "os.system(line)"),
        *("archive.extractall(folder)", "trainer.fit(loop, ckpt_path=path)"),
        "weights.get_state_dict(check_hash=True)",
    ],
)
def test_each_such_call_would_be_seen(line: str) -> None:
    assert [*faults(line), *imports(line)]


def test_a_bomb_goes_off_where_nobody_takes_care(tmp_path: Path) -> None:
    """Without this, a bomb that never acts would be safe everywhere."""
    array = io.BytesIO()
    np.save(array, np.array([bombs.Bomb(tmp_path / "array")]), allow_pickle=True)
    openings = {
        "pickle": lambda place: pickle.loads(bombs.pickled(place)),
        "torch": lambda place: _load(bombs.checkpoint(place, {})),
        "legacy": lambda place: _load(bombs.checkpoint(place, {}, legacy=True)),
        "array": lambda _: np.load(io.BytesIO(array.getvalue()), allow_pickle=True),
    }
    for name, opened in openings.items():
        assert not (tmp_path / name).exists()
        opened(tmp_path / name)
        assert (tmp_path / name).is_dir(), name


def _load(content: bytes) -> object:
    return torch.load(io.BytesIO(content), weights_only=False)


def imagenet() -> Classifier:
    return Classifier(epochs=1, batch_size=2, weights="imagenet")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where torchvision keeps the weights of ImageNet once they were fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth"
    path.parent.mkdir(parents=True)
    return path


def test_what_lies_in_the_place_of_imagenet_is_checked_and_not_run(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for legacy in (True, False):
        cached.write_bytes(bombs.checkpoint(tmp_path / bombs.FIRED, {}, legacy=legacy))
        with pytest.raises(SettingsError, match=r"0676ba61\.pth: not the weights of this name"):
            models.resnet50(imagenet())
        # nor where its digest were forged
        monkeypatch.setattr(models, "file_digest", lambda _: "0676ba61" + "0" * 56)
        with pytest.raises(SettingsError, match="not a state dict"):
            models.resnet50(imagenet())
        monkeypatch.undo()
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not (tmp_path / bombs.FIRED).exists()


def test_imagenet_weights_are_taken_from_where_torchvision_keeps_them(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = models.empty_resnet50().network.state_dict()
    torch.save(state, cached)
    monkeypatch.setattr(models, "file_digest", lambda _: "0676ba61" + "0" * 56)
    network, sentence = models.resnet50(imagenet())
    assert sentence.startswith("ResNet50 from ImageNet weights")
    assert torch.equal(network.network.conv1.weight, state["conv1.weight"])


KEYS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36}",
    r"\bgithub_pat_[A-Za-z0-9_]{22,}",
    r"\bglpat-[A-Za-z0-9_-]{20}",
    r"\bhf_[A-Za-z]{34}\b",
    r"\bpypi-AgE[A-Za-z0-9_-]{40,}",
    r"\bsk-[A-Za-z0-9_-]{32,}",
    r"\bxox[abposr]-[A-Za-z0-9-]{10,}",
    r"\bAIza[A-Za-z0-9_-]{35}\b",
    r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}",
    r"[a-z]{3,9}://[^][ /:@\"'<>]+:[^][ /:@\"'<>]{3,}@[a-z0-9.-]+",
    r"(password|passwd|secret|api_?key|access_?token)[\"']? *[:=] *[\"'][^\"' ]{8,}[\"']",
    r"/lab\?token=[0-9a-f]{20,}",
)
"""What keys look like. Random letters are not looked for: digests and pictures are full of them."""


def secrets(folder: Path) -> list[str]:
    """Return where git's files have what looks like a key; it searches 45 MB in a second."""
    # text in all of them: a picture in a page is text, and a key in a picture is one
    words = ["git", "grep", "--untracked", "-anoP", "|".join(f"(?:{key})" for key in KEYS)]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.stdout.decode(errors="replace").splitlines()


def test_no_key_is_in_any_file() -> None:
    assert secrets(PROJECT_DIR) == []


def test_a_key_in_any_file_is_seen(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    planted = (
        *("-----BEGIN RSA PRIVATE " + "KEY-----", "AKIA" + "A" * 16, "ghp_" + "a1" * 18),
        *("github_pat_" + "a" * 22, "glpat-" + "a" * 20, "hf_" + "a" * 34, "pypi-AgE" + "a" * 40),
        *("sk-" + "a" * 32, "xoxb-" + "1" * 10, "AIza" + "a" * 35, "password = '" + "a" * 8 + "'"),
        *("eyJ" + "a" * 15 + ".eyJ" + "a" * 15 + "." + "a" * 20, "https://me:" + "abc@a.org"),
        "http://localhost:8888/lab?token" + "=" + "0" * 48,
    )
    for number, text in enumerate(planted):
        (tmp_path / f"{number}.txt").write_text(f"a\n{text}\n")
    found = {line.partition(":")[0] for line in secrets(tmp_path)}
    assert found == {f"{number}.txt" for number in range(len(planted))} and len(planted) == len(
        KEYS
    )
