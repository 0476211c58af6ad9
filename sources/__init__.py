"""Datasets: from their files to the photographs and captions of a database.

One file a source: coco, flickr, ade20k, narratives, sharegpt4v, pairs, scenes/. Each yields the items of `items`;
`registry` opens those that the settings name. `files`, `tables` and `karpathy` read what several sources share.
`intake` joins the items by photograph, `copies` finds the same picture under two names, `splits` assigns the splits.
`units` are the work of the processes (with `parser`), `rows` and `manifest` write the database, `folder` replaces it.
"""
