"""Face detectors for `lossbench data crop --detector NAME` and `lossbench predict --detect NAME`."""
