"""Models to print and to share: scale, cut, close, hollow, simplify, and write."""
