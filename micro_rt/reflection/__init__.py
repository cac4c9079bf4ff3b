"""Server reflection: the protocol in which tools ask a server for its services and for the .proto files behind them."""
