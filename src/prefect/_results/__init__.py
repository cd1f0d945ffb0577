"""How results are encoded, named, stored and found again."""
