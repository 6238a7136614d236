"""How the shipped weights were made: rows, labels and the command that trains on them."""
