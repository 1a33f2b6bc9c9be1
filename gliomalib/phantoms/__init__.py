"""Synthetic patients: a plan becomes files in the layout of BraTS 2020."""
