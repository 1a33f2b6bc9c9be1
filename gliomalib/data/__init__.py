"""Data sets on disk: recognised, inspected, read upright; fetched where they are open."""
