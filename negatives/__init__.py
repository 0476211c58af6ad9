"""Hard negatives: what may be changed in a caption, and how often."""
