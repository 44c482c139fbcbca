"""Structure from motion: from features to registered cameras."""
