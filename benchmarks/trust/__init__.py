"""Which scores to trust: every score against the accuracy of a retrained head, and how often 90 % statements hold."""
