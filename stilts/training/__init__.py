"""Weights move: the loop of updates, its batches, gradients and saved states, and prediction."""
