"""Tables and arrays in, pictures out."""
