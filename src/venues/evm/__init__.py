"""Reads an EVM chain over JSON-RPC without touching a socket: encoders, decoders, and the identifiers of
outcome tokens.

Everything here is a pure function of its arguments. A caller sends the bytes that `json_rpc` made, hands the
bytes that came back to it, and decides with `blocks` whether the answer may be believed. Nothing here can
sign: a witness of balances holds no key (evm.md section 9).

- `address`, `words`: addresses with their checksum, 32-byte ABI words, and keccak-256.
- `json_rpc`: requests, batches and answers, matched by id.
- `blocks`: the chain id check, block heads, and which block to pin a reading to.
- `calls`: the balance, allowance and resolution calls of evm.md section 2.
- `conditional_tokens`: collection and position ids of the Conditional Tokens contract.
- `logs`: transfers of ERC-20 and ERC-1155 tokens, which explain a balance that moved without a trade.
"""
