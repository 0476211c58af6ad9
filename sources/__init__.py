"""Data sets: from their files to the photographs and captions of a database."""
