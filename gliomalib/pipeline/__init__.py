"""The method of the paper from the scan to the classes, for one patient and for all folds."""
