"""Messages of shop/order.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportConstantRedefinition=false, reportUnusedImport=false

import builtins as _builtins
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

from .common import money_pb2
from .common.money_pb2 import *

if (__package__ or "").count(".") >= 1:
    from .. import top_pb2
else:
    import top_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x10shop/order.proto\x12\x04shop\x1a\x17shop/common/money.proto\x1a\ttop.proto"Q\n\x05Order\x12\n\n'
    b"\x02id\x18\x01 \x01(\t\x12!\n\x05total\x18\x02 \x01(\x0b2\x12.shop.common.Money\x12\x19\n\x05label\x18"
    b"\x03 \x01(\x0b2\n.top.LabelP\x00b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _builtins.globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, _builtins.globals())
