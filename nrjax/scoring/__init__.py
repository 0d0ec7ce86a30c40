"""From arrays to an order: checks, scores, confidence, rankings, streams, meshes. Knows no models and no data sets."""
