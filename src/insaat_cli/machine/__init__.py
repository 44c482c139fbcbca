"""What this computer has and has left: limits, memory, budget, compiled code."""
