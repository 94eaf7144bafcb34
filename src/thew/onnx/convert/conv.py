"""Convolution: its form never changed."""
