"""The compiler: from .proto files to typed Python, as a plugin of protoc and buf."""
