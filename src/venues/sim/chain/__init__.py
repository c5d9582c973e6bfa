"""A simulated EVM chain: balances that remember their history, blocks that follow from the clock, and JSON-RPC."""
