"""What makes a trained network smaller and faster: 8-bit integers, fewer channels; and what that costs in accuracy."""
