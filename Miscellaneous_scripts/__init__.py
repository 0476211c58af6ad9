"""Less important scripts; see Miscellaneous_info.txt."""
