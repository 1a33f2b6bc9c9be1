"""The works that a report cites, and how to cite the project itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from gliomalib.data import catalogue
from gliomalib.provenance import PROJECT_DIR
from gliomalib.schema import SettingsError

CITATION = PROJECT_DIR / "CITATION.cff"


@dataclass(frozen=True)
class Reference:
    """One work: how a sentence names it, its entry in a list, its address.

    ``place`` is a DOI or an arXiv number; ``link`` is where it leads.
    """

    short: str
    text: str
    place: str

    @property
    def link(self) -> str:
        """The address of the work."""
        kind, _, number = self.place.partition(" ")
        if kind == "arXiv":
            return f"https://arxiv.org/abs/{number}"
        return f"https://doi.org/{number}" if kind == "doi" else self.place


PAPER = Reference(
    "the paper (arXiv 2502.18775)",
    "The authors of arXiv 2502.18775. Subclass Classification of Gliomas Using MRI Fusion "
    "Technique. 2025.",
    "arXiv 2502.18775",
)

_ROWS = (
    ("Abraham et al. 2014", "Machine learning for neuroimaging with scikit-learn (nilearn). Front "
     "Neuroinform 8:14.", "doi 10.3389/fninf.2014.00014"),
    ("Adewole et al. 2023", "The brain tumor segmentation (BraTS) challenge 2023: glioma "
     "segmentation in Sub-Saharan Africa patient population (BraTS-Africa).", "arXiv 2305.19369"),
    ("Antonelli et al. 2022", "The medical segmentation decathlon. Nat Commun 13:4128.",
     "doi 10.1038/s41467-022-30695-9"),
    ("Baid et al. 2021", "The RSNA-ASNR-MICCAI BraTS 2021 benchmark on brain tumor segmentation "
     "and radiogenomic classification.", "arXiv 2107.02314"),
    ("Bakas et al. 2017", "Advancing The Cancer Genome Atlas glioma MRI collections with expert "
     "segmentation labels and radiomic features. Sci Data 4:170117.",
     "doi 10.1038/sdata.2017.117"),
    ("Bakas et al. 2018", "Identifying the best machine learning algorithms for brain tumor "
     "segmentation, progression assessment, and overall survival prediction in the BRATS "
     "challenge.", "arXiv 1811.02629"),
    ("Bakas et al. 2022", "The University of Pennsylvania glioblastoma (UPenn-GBM) cohort. Sci "
     "Data 9:453.", "doi 10.1038/s41597-022-01560-7"),
    ("Brett et al.", "nibabel: access to neuroimaging file formats. Zenodo, every release.",
     "doi 10.5281/zenodo.591597"),
    ("Calabrese et al. 2022", "The University of California San Francisco preoperative diffuse "
     "glioma MRI dataset. Radiol Artif Intell 4:e220058.", "doi 10.1148/ryai.220058"),
    ("Cardoso et al. 2022", "MONAI: an open-source framework for deep learning in healthcare.",
     "arXiv 2211.02701"),
    ("Çiçek et al. 2016", "3D U-Net: learning dense volumetric segmentation from sparse "
     "annotation. MICCAI.", "arXiv 1606.06650"),
    ("Deng et al. 2009", "ImageNet: a large-scale hierarchical image database. CVPR.",
     "doi 10.1109/CVPR.2009.5206848"),
    ("Falcon et al. 2019", "PyTorch Lightning. Zenodo.", "doi 10.5281/zenodo.3828935"),
    ("Fonov et al. 2011", "Unbiased average age-appropriate atlases for pediatric studies. "
     "NeuroImage 54:313–327 (the MNI152 atlas of 2009).",
     "doi 10.1016/j.neuroimage.2010.07.033"),
    ("Harris et al. 2020", "Array programming with NumPy. Nature 585:357–362.",
     "doi 10.1038/s41586-020-2649-2"),
    ("He et al. 2016", "Deep residual learning for image recognition. CVPR.", "arXiv 1512.03385"),
    ("Hesterberg 2015", "What teachers should know about the bootstrap. Am Stat 69:371–386.",
     "doi 10.1080/00031305.2015.1089789"),
    ("Holm 1979", "A simple sequentially rejective multiple test procedure. Scand J Stat 6:65–70.",
     "https://www.jstor.org/stable/4615733"),
    ("Kerfoot et al. 2018", "Left-ventricle quantification using residual U-Net. STACOM.",
     "doi 10.1007/978-3-030-12029-0_40"),
    ("Lin et al. 2017", "Focal loss for dense object detection. ICCV.", "arXiv 1708.02002"),
    ("Loshchilov and Hutter 2017", "SGDR: stochastic gradient descent with warm restarts (the "
     "cosine). ICLR.", "arXiv 1608.03983"),
    ("Loshchilov and Hutter 2019", "Decoupled weight decay regularization. ICLR.",
     "arXiv 1711.05101"),
    ("Menze et al. 2015", "The multimodal brain tumor image segmentation benchmark (BRATS). IEEE "
     "Trans Med Imaging 34:1993–2024.", "doi 10.1109/TMI.2014.2377694"),
    ("Milletari et al. 2016", "V-Net: fully convolutional neural networks for volumetric medical "
     "image segmentation. 3DV.", "arXiv 1606.04797"),
    ("Mitchell et al. 2019", "Model cards for model reporting. FAT*.", "arXiv 1810.03993"),
    ("Paszke et al. 2019", "PyTorch: an imperative style, high-performance deep learning library. "
     "NeurIPS.", "arXiv 1912.01703"),
    ("Pedregosa et al. 2011", "Scikit-learn: machine learning in Python. J Mach Learn Res "
     "12:2825–2830.", "arXiv 1201.0490"),
    ("Ronneberger et al. 2015", "U-Net: convolutional networks for biomedical image segmentation. "
     "MICCAI.", "arXiv 1505.04597"),
    ("Schuirmann 1987", "A comparison of the two one-sided tests procedure and the power approach "
     "for assessing the equivalence of average bioavailability. J Pharmacokinet Biopharm "
     "15:657–680.", "doi 10.1007/BF01068419"),
    ("Simpson et al. 2019", "A large annotated medical image dataset for the development and "
     "evaluation of segmentation algorithms.", "arXiv 1902.09063"),
    ("Swanson et al. 2000", "A quantitative model for differential motility of gliomas in grey and "
     "white matter. Cell Prolif 33:317–329.", "doi 10.1046/j.1365-2184.2000.00177.x"),
    ("de Verdier et al. 2024", "The 2024 brain tumor segmentation (BraTS) challenge: glioma "
     "segmentation on post-treatment MRI.", "arXiv 2405.18368"),
    ("Virtanen et al. 2020", "SciPy 1.0: fundamental algorithms for scientific computing in "
     "Python. Nat Methods 17:261–272.", "doi 10.1038/s41592-019-0686-2"),
    ("Wilcoxon 1945", "Individual comparisons by ranking methods. Biometrics Bulletin 1:80–83.",
     "doi 10.2307/3001968"),
)  # fmt: skip
REFERENCES = (
    PAPER,
    *(Reference(short, f"{short.rstrip('.')}. {text}", place) for short, text, place in _ROWS),
)
"""Every work that a sentence of a report may name, in the order of its list."""


def cited(text: str) -> tuple[Reference, ...]:
    """Return the works that ``text`` names, in the order of the list: no more and no fewer."""
    return tuple(one for one in REFERENCES if one.short in text)


def of_releases(releases: tuple[str, ...]) -> str:
    """Return how the makers of some releases ask to be cited, as text for brackets."""
    told = [one.cite for one in catalogue.load().values() if set(one.releases) & set(releases)]
    # the list of references has the places of papers already
    bare = [re.sub(r" \((arXiv|doi) [^)]*\)", "", cite) for cite in told]
    parts = [part.strip() for cite in bare for part in cite.split(",")]
    return ", ".join(dict.fromkeys(parts))


def title_of(release: str) -> str:
    """Return what a release is called, or its key where the catalogue does not have it."""
    sets = catalogue.load().values()
    return next((one.title for one in sets if release in one.releases), release)


def licence_of(release: str) -> str:
    """Return under which licence a release is given out, or that nobody told."""
    sets = catalogue.load().values()
    return next((one.licence for one in sets if release in one.releases), catalogue.UNKNOWN)


def citation() -> dict[str, Any]:
    """Return what ``CITATION.cff`` says. Raises ``SettingsError`` where it is not there."""
    if not CITATION.is_file():
        raise SettingsError(f"{CITATION.name} is missing; restore it, the report cites from it")
    content: dict[str, Any] = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    return content


def bibtex() -> str:
    """Return the project and the paper that it examines as BibTeX, from ``CITATION.cff``."""
    project = citation()
    paper = project["references"][0]
    number = str(paper["identifiers"][0]["value"]).removeprefix("arXiv:")
    own = {
        "author": _people(project["authors"]),
        "title": _kept(project["title"]),
        "version": f"{{{project['version']}}}",
        "license": f"{{{project['license']}}}",
    }
    examined = {
        "author": _people(paper["authors"]),
        "title": _kept(paper["title"]),
        "year": f"{{{paper['year']}}}",
        "eprint": f"{{{number}}}",
        "archiveprefix": "{arXiv}",
    }
    return f"{_entry('software', 'gliomalib', own)}\n\n{_entry('misc', 'examined', examined)}"


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {value}" for name, value in fields.items()]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}"


def _people(authors: list[dict[str, str]]) -> str:
    names = [one.get("name") or f"{one['family-names']}, {one['given-names']}" for one in authors]
    # a second pair of braces keeps a group from being taken for a first and a last name
    return "{" + " and ".join(f"{{{name}}}" for name in names) + "}"


def _kept(title: str) -> str:
    return f"{{{{{title}}}}}"
