"""Every path of a run and of its results, and the only code that changes them."""
