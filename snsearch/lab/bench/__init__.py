"""The bench: networks of equal FLOPs trained to the end; searches and scores are replayed on them."""
