"""Initial weights of a backbone: `--weights`, and `lossbench weights`.

start_from   reads none, imagenet, vggface2:FILE, file:PATH, hf:REPO or run:DIR
inspect      shows the content of a weight file

May import runs, models, data and below.
"""
