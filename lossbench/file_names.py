"""Names by which files are recognized."""

RECORD, CONFIG, HISTORY, PREDICTIONS = "record.json", "config.toml", "history.jsonl", "predictions.npz"  # of a run
GRID = "compare.json"  # of a comparison
BAD_BATCH = "bad-batch.safetensors"  # of a run that non-finite values stopped
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
    | {".jp2", ".j2k", ".avif"}
)
