"""Decides and does nothing: costs, history, forecast, which stage runs next."""
