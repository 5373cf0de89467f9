"""Ranking, text and page."""
