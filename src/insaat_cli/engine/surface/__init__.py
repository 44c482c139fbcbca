"""From depth maps to a clean mesh."""
