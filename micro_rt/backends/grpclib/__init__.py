"""gRPC over HTTP/2 on the grpclib and h2 libraries."""
