"""Two probability volumes become one, and its axial slices become images with a class."""
