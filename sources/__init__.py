"""From the files of published datasets to the photographs and captions of a database.

Each source has one file: coco, flickr, ade20k, narratives, sharegpt4v, pairs, scenes/. Its reader yields the items of
`items`; `registry` opens the sources that the settings name. `files`, `tables` and `karpathy` read formats that several
sources share. `intake` joins the items by photograph, `copies` finds equal pictures with different names, `splits`
assigns the splits. `units` (with `parser`) is the work of the worker processes. `rows` and `manifest` write the
database, and `folder` puts it in its place.
"""
