"""Messages of billing/invoice-list.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

if (__package__ or "").count(".") >= 1:
    from ..shop import order_pb2
    from ..shop.common import money_pb2
    from .. import top_pb2
else:
    import shop.order_pb2
    import shop.common.money_pb2
    import top_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x1abilling/invoice-list.proto\x12\x07billing\x1a\x10shop/order.proto\x1a\x17shop/common/mon"
    b'ey.proto\x1a\ttop.proto"E\n\x05Label\x12\x19\n\x05label\x18\x01 \x01(\x0b2\n.top.Labe'
    b'l\x12!\n\x05money\x18\x02 \x01(\x0b2\x12.shop.common.Money"E\n\x07Invoice\x12\x1b\n\x06ord'
    b"ers\x18\x01 \x03(\x0b2\x0b.shop.Order\x12\x1d\n\x05label\x18\x02 \x01(\x0b2\x0e.billing.Label2"
    b"^\n\x08Invoices\x12$\n\x04Send\x12\x10.billing.Invoice\x1a\n.top.Label\x12,\n\x08Describe\x12\x10.billing."
    b"Invoice\x1a\x0e.billing.Labelb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
