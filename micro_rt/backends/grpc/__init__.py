"""gRPC on our own HTTP/2 connection, for transport="grpc"."""
