"""Real models and data of other frameworks, ranked together; how fast samples go through them."""
