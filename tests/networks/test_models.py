"""Networks take any size and their losses say what their formulas say."""

import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.losses.focal_loss import FocalLoss
from monai.networks.nets.unet import UNet
from torch import Tensor, nn

from gliomalib.networks import models
from gliomalib.provenance import file_digest
from gliomalib.schema import SettingsError
from gliomalib.settings import Classifier, Segmentation

Writer = Callable[[Any], Classifier]


def segmentation(**more: Any) -> Segmentation:
    return Segmentation(
        **({"epochs": 1, "batch_size": 1, "channels": (4, 8, 8), "residual_units": 1} | more)
    )


def classifier(**more: Any) -> Classifier:
    return Classifier(**({"epochs": 1, "batch_size": 2, "weights": "random"} | more))


@pytest.mark.parametrize(
    "size", [(16, 16), (13, 22), (3, 5), (1, 1), (8, 8, 8), (7, 9, 5), (4, 4, 4)]
)
def test_unet_takes_any_size(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = models.unet(segmentation(), len(size))
    images = torch.rand(2, 4, *size, requires_grad=True)
    logits = network(images)
    assert logits.shape == (2, 4, *size)
    logits.sum().backward()
    assert torch.isfinite(images.grad).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_single_voxels_are_found_at_full_resolution_only(dims: int) -> None:
    def share_right(strides: tuple[int, int] | None) -> float:
        torch.manual_seed(0)
        network = models.unet(segmentation(strides=strides, channels=(2, 4, 4)), dims)
        optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
        for _ in range(100):
            images = torch.rand(4, 4, *(8,) * dims)
            speckles = (images[:, 0] > 0.5).long()
            logits = network(images)
            optimiser.zero_grad()
            nn.functional.cross_entropy(logits, speckles).backward()
            optimiser.step()
        return float((logits.argmax(1) == speckles).float().mean())

    with models.threads(1):
        assert share_right((1, 2)) > 0.9
        assert share_right(None) < 0.8


def test_sizes_are_padded_to_what_the_strides_divide() -> None:
    assert models.unet(segmentation(strides=(1, 2)), 2).multiple == 2
    assert models.unet(segmentation(), 3).multiple == 4
    network = models.unet(segmentation(strides=(1, 2)), 2)
    assert network(torch.rand(1, 4, 7, 5)).shape == (1, 4, 7, 5)


def test_padding_changes_nothing_where_sizes_fit() -> None:
    torch.manual_seed(0)
    network = models.unet(segmentation(), 2).eval()
    images = torch.rand(1, 4, 16, 8)
    torch.testing.assert_close(network(images), network.network(images))


def test_padding_is_zeros_at_the_end() -> None:
    padded = models.pad_to_multiple(torch.ones(1, 1, 5, 8, 3), 4)
    assert padded.shape == (1, 1, 8, 8, 4)
    assert padded[..., :5, :, :3].min() == 1
    assert padded.sum() == 5 * 8 * 3


def test_the_caller_seeds_the_weights() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([part.flatten() for part in models.unet(segmentation(), 2).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_settings_shape_the_unet() -> None:
    plain = models.parameter_count(models.unet(segmentation(), 2))
    assert models.parameter_count(models.unet(segmentation(channels=(8, 16, 16)), 2)) > plain
    assert models.parameter_count(models.unet(segmentation(residual_units=2), 2)) > plain
    torch.manual_seed(0)
    network = models.unet(segmentation(dropout=0.5), 2)
    images = torch.rand(1, 4, 16, 16)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_parameter_count_leaves_out_frozen_ones() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1, bias=False))
    assert models.parameter_count(network) == 10
    network[1].requires_grad_(False)
    assert models.parameter_count(network) == 8


@pytest.fixture
def scored() -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    logits = torch.randn(2, 4, 6, 5)
    classes = torch.randint(0, 4, (2, 1, 6, 5), dtype=torch.uint8)
    return logits, classes


def true_probability(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.softmax(1).gather(1, classes.long())


@pytest.mark.parametrize("gamma", [0.0, 2.0, 3.5])
def test_focal_loss_is_its_formula(scored: tuple[Tensor, Tensor], gamma: float) -> None:
    p = true_probability(*scored)
    expected = (-((1 - p) ** gamma) * p.log()).mean() / 4
    found = models.segmentation_loss(segmentation(focal_gamma=gamma))(*scored)
    torch.testing.assert_close(found, expected)


@given(
    dims=st.integers(1, 3),
    gamma=st.sampled_from([0.0, 1.0, 2.0]),
    weighted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_focal_loss_is_that_of_monai(dims: int, gamma: float, weighted: bool, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    weights = (0.5, 2.0, 0.0, 3.0) if weighted else None
    logits = 4 * torch.randn(2, 4, *(5, 3, 2)[:dims], generator=rng)
    classes = torch.randint(0, 4, (2, 1, *logits.shape[2:]), dtype=torch.uint8, generator=rng)
    slow = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=gamma, weight=weights)
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    quick, obvious = models.Focal(gamma, weights)(ours, classes), slow(theirs, classes)
    torch.testing.assert_close(quick, obvious)
    torch.autograd.backward([quick, obvious])
    torch.testing.assert_close(ours.grad, theirs.grad)


@given(
    sizes=st.tuples(*[st.integers(3, 7)] * 3),
    batch=st.integers(1, 2),
    inside=st.integers(1, 3),
    outside=st.integers(1, 4),
    stride=st.integers(1, 2),
)
def test_convolutions_of_a_single_volume_are_those_of_torch(
    sizes: tuple[int, int, int], batch: int, inside: int, outside: int, stride: int
) -> None:
    torch.manual_seed(1)
    slow = nn.Conv3d(inside, outside, 3, stride, 1)
    quick = models.Conv3d(inside, outside, 3, stride, 1)
    quick.load_state_dict(slow.state_dict())
    images = torch.randn(batch, inside, *sizes)
    answers = [network(images.requires_grad_()) for network in (quick, slow)]
    torch.testing.assert_close(*answers)
    gradients = [
        torch.autograd.grad(answer.square().sum(), [images, *network.parameters()])
        for answer, network in zip(answers, (quick, slow), strict=True)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("residual_units", [0, 2])
def test_the_3d_unet_is_that_of_monai(residual_units: int) -> None:
    torch.manual_seed(2)
    quick = models.unet(segmentation(residual_units=residual_units), 3)
    slow = UNet(3, 4, 4, (4, 8, 8), (2, 2), num_res_units=residual_units)
    slow.load_state_dict(cast(models.Padded, quick).network.state_dict())
    images = torch.rand(1, 4, 8, 12, 8)
    torch.testing.assert_close(quick(images), slow(images), rtol=1e-4, atol=1e-5)


def test_cross_entropy_is_its_formula(scored: tuple[Tensor, Tensor]) -> None:
    expected = -true_probability(*scored).log().mean()
    found = models.segmentation_loss(segmentation(loss="cross_entropy"))(*scored)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("loss", ["focal", "cross_entropy", "dice_ce"])
def test_class_weights_make_errors_of_a_class_dearer(loss: str) -> None:
    truth = torch.arange(4).repeat(8).reshape(1, 1, 32)
    wrong = nn.functional.one_hot((truth[0, 0] + 1) % 4, 4).float().T[None] * 4
    right = nn.functional.one_hot(truth[0, 0], 4).float().T[None] * 4
    costs = {}
    for name, weights in {"none": None, "rare": (1.0, 1.0, 1.0, 9.0)}.items():
        criterion = models.segmentation_loss(segmentation(loss=loss, class_weights=weights))
        only = [torch.where(truth == index, wrong, right) for index in (0, 3)]
        costs[name] = [float(criterion(logits, truth)) for logits in only]
    assert costs["rare"][1] > costs["rare"][0]
    assert costs["none"][1] == pytest.approx(costs["none"][0], rel=1e-4)


def soft_dice_loss(p: Tensor, truth: Tensor) -> Tensor:
    overlap = 2 * (p * truth).sum(0) + 1e-5
    return (1 - overlap / (p.sum(0) + truth.sum(0) + 1e-5)).mean()


def test_classification_dice_is_over_the_batch() -> None:
    torch.manual_seed(4)
    logits = torch.randn(8, 4)
    classes = torch.tensor([0, 1, 2, 3, 0, 0, 2, 1])
    expected = soft_dice_loss(logits.softmax(1), nn.functional.one_hot(classes, 4).float())
    shaped = logits[..., None], classes.reshape(8, 1, 1)
    torch.testing.assert_close(models.classification_loss(classifier())(*shaped), expected)
    both = models.classification_loss(classifier(loss="dice_ce"))(*shaped)
    torch.testing.assert_close(both, expected + nn.functional.cross_entropy(logits, classes))


def test_random_resnet_says_so() -> None:
    torch.manual_seed(0)
    network, sentence = models.resnet50(classifier())
    assert sentence == "ResNet50 from random weights, not ImageNet"
    assert models.parameter_count(network) == 23_516_228
    network.eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, 32, 40)).shape == (2, 4)


@pytest.mark.parametrize(("identity", "weight"), [(True, 0.0), (False, 1.0)])
def test_identity_blocks_end_with_a_norm_of_zeros(identity: bool, weight: float) -> None:
    network = models.empty_resnet50(identity_blocks=identity).network
    blocks = [block for part in range(1, 5) for block in getattr(network, f"layer{part}")]
    assert len(blocks) == 16
    assert all((block.bn3.weight == weight).all() for block in blocks)
    assert (network.bn1.weight == 1).all()


def test_images_are_scaled_as_imagenet_was() -> None:
    from torchvision.models import ResNet50_Weights

    theirs = ResNet50_Weights.DEFAULT.transforms()
    assert theirs.mean == list(models.IMAGENET_MEAN)
    assert theirs.std == list(models.IMAGENET_STD)
    image = torch.rand(1, 3, 4, 5)
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (theirs.mean, theirs.std))
    seen = models.Normalised(nn.Identity())(image)
    torch.testing.assert_close(seen, (image - mean) / std)


@pytest.fixture
def weights_file(tmp_path: Path) -> Writer:
    def write(state: Any) -> Classifier:
        path = tmp_path / "weights.pth"
        torch.save(state, path)
        return classifier(weights="file", weights_file=str(path))

    return write


@pytest.fixture(scope="module")
def trained_state() -> dict[str, Tensor]:
    torch.manual_seed(5)
    return models.empty_resnet50().network.state_dict()


def test_weights_of_a_file_are_taken(
    weights_file: Writer, trained_state: dict[str, Tensor]
) -> None:
    network, sentence = models.resnet50(weights_file(trained_state))
    assert sentence == "ResNet50 from weights of the file weights.pth"
    for name, part in network.network.state_dict().items():
        assert torch.equal(part, trained_state[name])


def test_another_head_is_replaced_and_said(
    weights_file: Writer, trained_state: dict[str, Tensor]
) -> None:
    imagenet = {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    network, sentence = models.resnet50(weights_file({**trained_state, **imagenet}))
    assert "with a new four-class head" in sentence
    assert torch.equal(network.network.conv1.weight, trained_state["conv1.weight"])


def test_weights_of_other_shapes_are_refused(
    weights_file: Writer, trained_state: dict[str, Tensor]
) -> None:
    state = dict(trained_state)
    state["conv1.weight"] = torch.zeros(64, 4, 7, 7)
    with pytest.raises(
        SettingsError, match=r"weights\.pth.*conv1\.weight.*\[64, 4, 7, 7\].*give another file"
    ):
        models.resnet50(weights_file(state))
    del state["bn1.weight"]
    with pytest.raises(SettingsError, match=r"Missing key.*bn1\.weight.*conv1\.weight"):
        models.resnet50(weights_file(state))


def test_files_that_are_no_weights_are_refused(weights_file: Writer, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not a state dict of tensors"):
        models.resnet50(weights_file([1, 2]))
    setting = weights_file({})
    (tmp_path / "weights.pth").write_text("hello")
    with pytest.raises(SettingsError, match=r"weights\.pth: not a state dict"):
        models.resnet50(setting)
    (tmp_path / "weights.pth").unlink()
    with pytest.raises(SettingsError, match="there is no such file"):
        models.resnet50(setting)


def test_imagenet_without_network_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # it keeps the proxies of its first call, for every later test as well
    monkeypatch.setattr(urllib.request, "_opener", None)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(
        SettingsError, match=r"weights: imagenet .* weights: file .* weights: random"
    ):
        models.resnet50(classifier(weights="imagenet"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Return the address of a web server on this machine that shows ``tmp_path``."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_weights_of_a_web_server_are_taken_by_their_hash(
    server: str,
    trained_state: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    torch.save(trained_state, tmp_path / "new.pth")
    name = f"resnet50-{file_digest(tmp_path / 'new.pth')[:8]}.pth"
    shutil.copy(tmp_path / "new.pth", tmp_path / name)
    network, sentence = models.resnet50(classifier(weights="file", weights_file=f"{server}/{name}"))
    assert sentence == f"ResNet50 from weights of the file {name}"
    assert torch.equal(network.state_dict()["network.conv1.weight"], trained_state["conv1.weight"])
    # other bytes under a name that promises these
    shutil.copy(tmp_path / "new.pth", tmp_path / "resnet50-00000000.pth")
    for wrong, message in (
        ("resnet50-00000000.pth", "cannot be downloaded .*hash"),
        ("resnet50-11111111.pth", "cannot be downloaded .*404"),
        ("new.pth", "whose name has no hash"),
    ):
        with pytest.raises(SettingsError, match=message):
            models.resnet50(classifier(weights="file", weights_file=f"{server}/{wrong}"))


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert models.find_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert models.find_device("auto").type == "cpu"
    with pytest.raises(SettingsError, match="device: cuda"):
        models.find_device("cuda")


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with models.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(ZeroDivisionError), models.threads(before + 1):
        np.arange(1 // 0)
    with models.threads(0):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before
