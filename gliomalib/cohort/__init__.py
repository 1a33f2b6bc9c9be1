"""Who takes part: cases become patients, in parts that share nobody."""
