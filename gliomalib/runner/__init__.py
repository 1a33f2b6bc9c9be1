"""The notebook chain: which notebook needs which, what is out of date, and how they run.

Importing this package is light, since the Snakefile does it at every start: what needs papermill
is in ``execution``, what starts Snakemake in ``study``.
"""

from gliomalib.runner.chain import CHAIN, Step
from gliomalib.runner.jobs import Folders, Job, RunError
from gliomalib.runner.planning import plan
from gliomalib.runner.stamps import forget_changed, page_digest

__all__ = ["CHAIN", "Folders", "Job", "RunError", "Step", "forget_changed", "page_digest", "plan"]
