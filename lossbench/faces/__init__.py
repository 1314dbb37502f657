"""Find faces in photographs and cut them out, for `data crop` and `predict --detect`.

`find` loads a detector and finds faces, `geometry` cuts one out, `crop` works through photographs in parallel and
resumes, `crop_manifest` writes the manifest.

May import data and below.
"""
