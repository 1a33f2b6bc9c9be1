"""How fast a training is, beside its bare steps in memory and beside what people would write.

The studies' own small networks and batches, four real patients at 2 mm as often as a study has
patients, one thread. The peers have the same augmentation, no scheduler and nothing to log, and
none takes batch norms anew after its last epoch: ours is timed without that.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import CacheDataset
from monai.engines.trainer import SupervisedTrainer
from monai.losses.dice import DiceLoss
from monai.losses.focal_loss import FocalLoss
from monai.networks.nets.unet import UNet
from monai.transforms.compose import Compose
from monai.transforms.spatial.dictionary import RandFlipd
from monai.transforms.utility.dictionary import EnsureTyped
from torch import Tensor, nn

from gliomalib import settings
from gliomalib.data.readers import survey
from gliomalib.fusion import slices
from gliomalib.networks import loop, models, samples
from gliomalib.networks.job import Job, Plan
from gliomalib.pipeline import preprocess
from gliomalib.schema import N_CLASSES, SliceSet, StoredCase, Volume
from gliomalib.settings import Preprocessing, Segmentation
from tests.benchmarks.ledger import Ledger, paired

DEMO = settings.load("demo")
CPU = torch.device("cpu")
PATIENTS, RUNS = 4, 5

MONAI = "dictionary transforms, CacheDataset, UNet and FocalLoss of MONAI, AdamW as torch makes it"
LIGHTNING = "Dataset with transforms of torchvision, DiceLoss of MONAI, AdamW as torch makes it"

Work = Callable[[], float]
"""What returns the seconds that it took, without those of its preparation."""


@pytest.fixture(scope="module")
def cases(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[StoredCase]:
    return stored(real_data, tmp_path_factory.mktemp("store"), DEMO.preprocessing)


def stored(folder: Path, root: Path, chosen: Preprocessing) -> list[StoredCase]:
    """Return four real patients out of a store."""
    store, some = preprocess.open_store(root, chosen), survey.survey(folder).cases[:PATIENTS]
    preprocess.fill(store, some, chosen)
    return [store.get(case.patient_id) for case in some]


def bench_unet2d(cases: list[StoredCase], tmp_path: Path, ledger: Ledger) -> None:
    drawn = samples.AxialSlices(cases * 4)
    drawn.places = drawn.places[: 48 * DEMO.unet2d.batch_size]
    plan = _plan("unet2d", DEMO.unet2d, drawn, tmp_path)
    _fill(ledger, plan, *_segmenter(plan, DEMO.unet2d), MONAI)


def bench_unet3d(cases: list[StoredCase], tmp_path: Path, ledger: Ledger) -> None:
    plan = _plan("unet3d", DEMO.unet3d, samples.Boxes(cases * 6, None), tmp_path)
    _fill(ledger, plan, *_segmenter(plan, DEMO.unet3d), MONAI)


def bench_resnet50(cases: list[StoredCase], tmp_path: Path, ledger: Ledger) -> None:
    chosen, count = DEMO.classifier, 12 * DEMO.classifier.batch_size
    sets = [
        slices.fused_slices(Volume(_one_hot(case), case.grid), case.labels, chosen)
        for case in cases * 2
    ]
    images, classes = (
        np.concatenate([getattr(part, name) for part in sets])[:count]
        for name in ("images", "classes")
    )
    drawn = samples.FusedImages(
        SliceSet(images, classes, ("P",) * count, np.arange(count)), chosen.balanced, chosen.augment
    )
    plan = _plan("resnet50", chosen, drawn, tmp_path)

    def build() -> nn.Module:
        return models.resnet50(chosen)[0]

    peer = _lightning(build, drawn, chosen, tmp_path)
    _fill(ledger, plan, build, peer, LIGHTNING)


def bench_gpu(real_data: Path, tmp_path: Path, ledger: Ledger) -> None:
    if not torch.cuda.is_available():
        ledger.skipped("gpu_unet2d", "no GPU here")
        ledger.skipped("gpu_unet3d", "no GPU here")
        return
    full = settings.load("brats")
    cases = stored(real_data, tmp_path, full.preprocessing)
    drawn = samples.AxialSlices(cases * 16)
    drawn.places = drawn.places[: 100 * full.unet2d.batch_size]
    for name, chosen, part in (
        ("unet2d", full.unet2d, drawn),
        ("unet3d", full.unet3d, samples.Boxes(cases * 16, None)),
    ):
        plan = _plan(name, chosen, part, tmp_path, torch.device("cuda"))
        build, peer = _segmenter(plan, chosen)
        runs = [(_ours(plan, build)[0], peer()) for _ in range(RUNS + 1)][1:]
        note = f"{MONAI}, bfloat16; the trainer of nnU-Net is not measured"
        ledger.compared(f"gpu_{name}", paired(runs), note)


def _plan(
    name: Any, chosen: Any, drawn: samples.Samples, folder: Path, device: torch.device = CPU
) -> Plan:
    asked = chosen.model_copy(update={"epochs": 1})
    job = Job(name, asked, 0, 1, device.type, 1, folder, "data")
    losses = models.classification_loss if name == "resnet50" else models.segmentation_loss
    return Plan(job, "key", drawn, None, losses(chosen), device)


def _segmenter(plan: Plan, chosen: Segmentation) -> tuple[Callable[[], nn.Module], Work]:
    """Return what builds the network of a plan, and its peer."""
    dims = 2 if plan.job.network == "unet2d" else 3
    return lambda: models.unet(chosen, dims), _monai(plan, chosen, dims)


def _fill(
    ledger: Ledger, plan: Plan, build: Callable[[], nn.Module], theirs: Work, what: str
) -> None:
    """Time the training, its bare steps and its peer in turn, once for nothing."""
    name = plan.job.network
    with models.threads(1):
        runs = [(*_ours(plan, build), _bare(plan, build), theirs()) for _ in range(RUNS + 1)][1:]
    ledger.compared(f"step_{name}", paired([(steps, bare) for _, steps, bare, _ in runs]))
    ledger.compared(f"loop_{name}", paired([(whole, peer) for whole, _, _, peer in runs]), what)


def _ours(plan: Plan, build: Callable[[], nn.Module]) -> tuple[float, float]:
    """Return the seconds of a training of one epoch, and of its steps without the checkpoint."""
    network, started = build(), time.perf_counter()
    rows = loop.epochs(plan, network, resume=False)
    return time.perf_counter() - started, rows[0]["seconds"]


def _bare(plan: Plan, build: Callable[[], nn.Module]) -> float:
    """Return the seconds of as many steps on one batch that is there, in torch's own words."""
    network = build().train()
    images, targets = next(iter(loop.of_epoch(plan, 0)))[:2]
    images = images.float()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    steps, started = len(plan.train) // len(images), time.perf_counter()
    for _ in range(steps):
        optimiser.zero_grad()
        logits = network(images)
        plan.loss(logits[..., None] if logits.ndim == 2 else logits, targets).backward()
        optimiser.step()
    return time.perf_counter() - started


def _monai(plan: Plan, chosen: Segmentation, dims: int) -> Work:
    """Return a training with the engine of MONAI, as its tutorials write it."""
    drawn = (plan.train.draw(index, np.random.default_rng(0)) for index in range(len(plan.train)))
    files = [{"image": image, "label": target} for image, target in drawn]
    both = ["image", "label"]
    transform = Compose(
        [
            EnsureTyped(["image"], dtype=torch.float32, track_meta=False),
            EnsureTyped(["label"], track_meta=False),
            RandFlipd(both, prob=0.5, spatial_axis=0),
        ]
    )
    cached = CacheDataset(files, transform, progress=False)

    def train() -> float:
        strides = chosen.strides or (2,) * (len(chosen.channels) - 1)
        network = UNet(
            *(dims, 4, N_CLASSES, chosen.channels, strides),
            num_res_units=chosen.residual_units,
            dropout=chosen.dropout,
        ).to(plan.device)
        engine = SupervisedTrainer(
            device=plan.device,
            amp=chosen.precision == "bf16-mixed",
            amp_kwargs={"dtype": torch.bfloat16},
            max_epochs=1,
            train_data_loader=DataLoader(cached, batch_size=chosen.batch_size, shuffle=True),
            network=network,
            optimizer=torch.optim.AdamW(network.parameters(), chosen.learning_rate),
            loss_function=FocalLoss(to_onehot_y=True, use_softmax=True, gamma=chosen.focal_gamma),
        )
        started = time.perf_counter()
        engine.run()
        if plan.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    return train


def _lightning(
    build: Callable[[], nn.Module], drawn: samples.FusedImages, chosen: Any, folder: Path
) -> Work:
    """Return a training with a plain Lightning loop, as its first page writes it."""
    import pytorch_lightning as pl
    from torchvision.transforms import v2

    turns = [v2.RandomRotation((angle, angle)) for angle in (0, 90, 180, 270)]
    transform = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomChoice(turns),
            v2.RandomAffine(0, translate=(0.25, 0.25)),
        ]
    )

    class Slices(torch.utils.data.Dataset[tuple[Tensor, int]]):
        def __len__(self) -> int:
            return len(drawn)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            image = torch.from_numpy(drawn.slices.images[index]).float()
            return transform(image), int(drawn.slices.classes[index])

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = build()
            self.loss = DiceLoss(to_onehot_y=True, softmax=True, batch=True)

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            images, classes = batch
            loss: Tensor = self.loss(self.network(images)[..., None], classes[:, None, None])
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=chosen.learning_rate)

    def train() -> float:
        classes = drawn.slices.classes
        weights = 1 / np.sqrt(np.bincount(classes)[classes])
        sampler = torch.utils.data.WeightedRandomSampler(weights.tolist(), len(classes))
        loader = torch.utils.data.DataLoader(
            Slices(), batch_size=chosen.batch_size, sampler=sampler
        )
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        module = Module()
        started = time.perf_counter()
        trainer.fit(module, loader)
        return time.perf_counter() - started

    return train


def _one_hot(case: StoredCase) -> np.ndarray:
    return np.stack([case.labels == label for label in range(N_CLASSES)]).astype(np.float16)
