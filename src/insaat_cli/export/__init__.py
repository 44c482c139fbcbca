"""Models to print and to share: scaled, cut, closed, hollowed, simplified."""
