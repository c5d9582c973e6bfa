"""The actors of order execution: one module a kind, each a thin shell around a pure machine of the model."""
