"""What states, settings, times and sizes are called in the sentences of a report."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gliomalib import digits
from gliomalib.schema import Value

STATES = {
    "missed": "Missed: the truth has voxels, the prediction has none",
    "spurious": "Predicted where the truth has none",
    "elsewhere": "Dice exactly 0 although both have voxels: predicted in another place",
    "empty": "Empty in truth and prediction: what Dice is then is a rule, not a measurement",
}
"""State of a mask → what it means."""


def device(name: str) -> str:
    """Return what a reader calls the device of a record."""
    return {"cpu": "CPU", "cuda": "GPU"}.get(name, name)


def changes(changed: Mapping[str, object]) -> str:
    """Return ``loss: dice_ce, seed: 2026``, the parameters in which a variant differs."""
    texts = {k: listed([*map(str, v)]) if isinstance(v, list) else v for k, v in changed.items()}
    return ", ".join(f"{key}: {text}" for key, text in texts.items())


def dotted(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted names: ``unet2d.loss``."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        is_nested = isinstance(value, Mapping)
        flat |= dotted(value, f"{prefix}{key}.") if is_nested else {f"{prefix}{key}": value}
    return flat


def portable(value: Any) -> Any:
    """Return a setting without the folder of one machine, which says nothing on another."""
    is_path = isinstance(value, str) and Path(value).is_absolute()
    return f"/path/to/{Path(value).name}" if is_path else value


def range_of(entry: Value) -> str:
    """Return the 95 % interval of a value, or in words why there is none."""
    if entry.ci95 is None:
        if not entry.n_patients and not math.isnan(entry.value):
            return "not over patients, no interval"
        return f"{digits.counted(entry.n_patients, 'patient')}, no interval"
    return digits.interval(entry.value, entry.ci95)


def listed(names: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def duration(seconds: float) -> str:
    """Return a wall time in hours, minutes and seconds, the smaller ones left out where idle."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def memory(size: int) -> str:
    """Return a number of bytes in kB, MB or GB (powers of ten)."""
    if size < 1e6:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
