"""Messages of shop/orders.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

from . import order_pb2

if (__package__ or "").count(".") >= 1:
    from .. import top_pb2
else:
    import top_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x11shop/orders.proto\x12\x04shop\x1a\x10shop/order.proto\x1a\ttop.proto2{\n\x06Orders\x12!\n\x05Plac"
    b"e\x12\x0b.shop.Order\x1a\x0b.shop.Order\x12*\n\x05Total\x12\x0b.shop.Order\x1a\x12.shop.common.Money(\x01\x12"
    b'"\n\x06Labels\x12\n.top.Label\x1a\n.top.Label0\x01b\x06proto3'
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
