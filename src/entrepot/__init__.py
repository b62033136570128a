"""Entrepot: an open operating platform for a region's economy."""

__version__ = "0.1.0"
