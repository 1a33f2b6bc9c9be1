"""One reader for each family of data sets, and the survey that asks them all."""
