"""Losses that shape the clusters of embeddings, one a file. Each is a term beside a loss on the logits."""
