"""The notebook chain: which notebook needs which, what is out of date, and how they run.

The Snakefile imports ``jobs`` and ``stamps`` at every start, so these are light: what needs
papermill is in ``execution``, what starts Snakemake in ``snakemake``.
"""
