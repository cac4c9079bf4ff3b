"""Messages of order_events.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import micro_rt.annotations_pb2

if __package__:
    from .shop.common import money_pb2
    from .shop import order_pb2
else:
    import shop.common.money_pb2
    import shop.order_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x12order_events.proto\x12\x0corder_events\x1a\x1amicro_rt/annotations.proto\x1a\x17shop/com"
    b'mon/money.proto\x1a\x10shop/order.proto"\x88\x02\n\x06Placed\x12\x10\n\x08order_'
    b"id\x18\x01 \x01(\t\x12\x1a\n\x05order\x18\x02 \x01(\x0b2\x0b.shop.Order\x1a\x9d\x01\n\x04Part\x12#\n\x05whole"
    b'\x18\x01 \x01(\x0b2\x14.order_events.Placed\x12"\n\x06refund\x18\x02 \x01(\x0b2\x12.shop.co'
    b"mmon.Money:L\x92\x82\x19H\n\rorders.placed\x12\x0ewhole.order_id\x1a\x042.10(\x032\x1fcom.example.ord"
    b'er.part-returned:0\x92\x82\x19,\n\rorders.placed\x12\x08order_id\x1a\x032.1"\n'
    b'\x08\x80\xa3\x05\x10\x80\xca\xb5\xee\x01(\x0c",\n\x04Lost\x12\x0f\n\x03why\x18\x01 \x01(\tB\x02\x18\x01:\x13\x18'
    b"\x01\x92\x82\x19\r\n\x0borders.lost24\n\x06Orders\x12*\n\x05Place\x12\x0b.shop.Order\x1a\x14.order_events.Placed"
    b"b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
