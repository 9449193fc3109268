"""The bench: networks of equal FLOPs trained to the end, and searches and cheap scores replayed on them."""
