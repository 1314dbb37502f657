"""The weights that a backbone starts from: `--weights`, and `lossbench weights`.

start_from   reads none, imagenet, vggface2:FILE or run:DIR
inspect      shows what a file of weights holds

May import runs, models, data and below.
"""
