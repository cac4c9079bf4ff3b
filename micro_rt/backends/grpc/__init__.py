"""gRPC on our own HTTP/2 connection (``micro_rt.http2``)."""
