"""Messages of shop.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.timestamp_pb2
import micro_rt.annotations_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\nshop.proto\x12\x04shop\x1a\x1fgoogle/protobuf/timestamp.proto\x1a\x1amicro_rt/annotation"
    b's.proto"\xc5\x01\n\x0bOrderPlaced\x12\x10\n\x08order_id\x18\x01 \x01(\t\x12\x13\n\x0btotal_cen'
    b"ts\x18\x02 \x01(\x03\x12\x19\n\x05lines\x18\x03 \x03(\x0b2\n.shop.Line\x12-\n\tplaced_at\x18\x04 \x01(\x0b"
    b"2\x1a.google.protobuf.Timestamp\x12\x1e\n\x07channel\x18\x05 \x01(\x0e2\r.shop.Channel:%\x92\x82\x19!\n\x06orde"
    b'rs\x12\x08order_id\x1a\x051.2.0"\x04\x08\x80\xf5$(\x06"I\n\tOrderPaid\x12\x10\n\x08order_id\x18\x01'
    b' \x01(\t\x12\x12\n\npaid_cents\x18\x02 \x01(\x03:\x16\x92\x82\x19\x12\n\x06orders\x12\x08order_id"Z\n\x07Sh'
    b"ipped\x12 \n\x08shipment\x18\x01 \x01(\x0b2\x0e.shop.Shipment\x12\x0f\n\x07carrier\x18\x02 \x01"
    b'(\t:\x1c\x92\x82\x19\x18\n\tshipments\x12\x0bshipment.id"!\n\x04Ping\x12\x0c\n\x04text\x18\x01 \x01(\t'
    b':\x0b\x92\x82\x19\x07\n\x05pings"1\n\x04Blob\x12\n\n\x02id\x18\x01 \x01(\x0c\x12\x0c\n\x04dat'
    b'a\x18\x02 \x01(\x0c:\x0f\x92\x82\x19\x0b\n\x05blobs\x12\x02id"&\n\x04Line\x12\x0f\n\x07arti'
    b'cle\x18\x01 \x01(\t\x12\r\n\x05count\x18\x02 \x01(\r"w\n\x08Shipment\x12\n\n\x02'
    b"id\x18\x01 \x01(\x03\x12.\n\x08articles\x18\x02 \x03(\x0b2\x1c.shop.Shipment.ArticlesEntry\x1a/\n\rArticlesEntr"
    b"y\x12\x0b\n\x03key\x18\x01 \x01(\t\x12\r\n\x05value\x18\x02 \x01(\r:\x028\x01*F\n\x07Channel\x12\x17\n\x13CHANNE"
    b"L_UNSPECIFIED\x10\x00\x12\x0f\n\x0bCHANNEL_WEB\x10\x01\x12\x11\n\rCHANNEL_PHONE\x10\x02b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
