"""Quantisation: no form ever changed its meaning; later operator sets added attributes whose defaults mean the older form."""
