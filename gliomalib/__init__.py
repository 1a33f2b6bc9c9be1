"""Tools of a reproducibility study: glioma subclasses from fused 2D and 3D U-Nets.

The notebooks call these modules; each says in its first line what it answers for.
Lower layers know nothing of higher ones (see ``[tool.importlinter]`` in pyproject.toml).
"""
