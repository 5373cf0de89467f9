"""Keras layers by idea."""
