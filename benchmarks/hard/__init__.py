"""How far every score is off on features on which arithmetic fails."""
