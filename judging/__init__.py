"""A trained judge in use: verdicts, tables, pages, bundles."""
