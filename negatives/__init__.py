"""Hard negatives: what can be changed in a caption, and how often each change is drawn."""
