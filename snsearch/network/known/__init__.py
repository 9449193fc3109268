"""Networks of the literature, described once as operators, by name."""
