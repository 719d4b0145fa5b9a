"""Training: one loop for every stage, and one file per stage."""
