"""One module for each notebook, of its name, and what several of them share."""
