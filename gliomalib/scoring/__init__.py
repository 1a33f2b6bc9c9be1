"""Arrays in, numbers out: scores, intervals, comparisons and forensics of printed numbers."""
