"""Encoders and heads: loading, preparing, trimming, adapters."""
