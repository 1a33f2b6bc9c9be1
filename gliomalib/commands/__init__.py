"""The verbs of ``python -m gliomalib``, a module for each group."""
