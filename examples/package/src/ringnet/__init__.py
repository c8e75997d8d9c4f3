"""Tells rings in the plane apart."""
