"""Messages of micro_rt/annotations.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.descriptor_pb2
import google.protobuf.duration_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x1amicro_rt/annotations.proto\x12\x05micro\x1a google/protobuf/descriptor.proto\x1a\x1eg"
    b'oogle/protobuf/duration.proto"\x1e\n\x0eServiceOptions\x12\x0c\n\x04name\x18\x01 \x01(\t"\x81\x01\n\rMethod'
    b'Options\x12*\n\x07timeout\x18\x01 \x01(\x0b2\x19.google.protobuf.Duration\x12"\n'
    b"\x05retry\x18\x02 \x01(\x0b2\x13.micro.RetryOptions\x12 \n\x04auth\x18\x03 \x01(\x0b2\x12.micr"
    b'o.AuthOptions"\x86\x02\n\x0cRetryOptions\x12\x15\n\x08attempts\x18\x01 \x01(\rH\x00\x88\x01\x01\x12'
    b"*\n\x07backoff\x18\x02 \x01(\x0b2\x19.google.protobuf.Duration\x12.\n\x0bmax_bac"
    b"koff\x18\x03 \x01(\x0b2\x19.google.protobuf.Duration\x12\x1a\n\x05codes\x18\x04 \x03(\x0e2\x0b"
    b".micro.Code\x12\x17\n\nidempotent\x18\x05 \x01(\x08H\x01\x88\x01\x01\x122\n\x0fattempt_timeou"
    b't\x18\x06 \x01(\x0b2\x19.google.protobuf.DurationB\x0b\n\t_attemptsB\r\n\x0b_idempotent"-\n\x0bAuthOp'
    b'tions\x12\x0e\n\x06scopes\x18\x01 \x03(\t\x12\x0e\n\x06public\x18\x02 \x01(\x08"\x8b\x01\n\x0cEventOptions'
    b"\x12\r\n\x05topic\x18\x01 \x01(\t\x12\x0b\n\x03key\x18\x02 \x01(\t\x12\x0f\n\x07version\x18"
    b"\x03 \x01(\t\x12,\n\tretention\x18\x04 \x01(\x0b2\x19.google.protobuf.Duration\x12\x12\n"
    b"\npartitions\x18\x05 \x01(\r\x12\x0c\n\x04type\x18\x06 \x01(\t*\x95\x03\n\x04Code\x12\x14\n\x10CODE_UNSPE"
    b"CIFIED\x10\x00\x12\x12\n\x0eCODE_CANCELLED\x10\x01\x12\x10\n\x0cCODE_UNKNOWN\x10\x02\x12\x19\n\x15CODE"
    b"_INVALID_ARGUMENT\x10\x03\x12\x1a\n\x16CODE_DEADLINE_EXCEEDED\x10\x04\x12\x12\n\x0eCOD"
    b"E_NOT_FOUND\x10\x05\x12\x17\n\x13CODE_ALREADY_EXISTS\x10\x06\x12\x1a\n\x16CODE_PERMISS"
    b"ION_DENIED\x10\x07\x12\x1b\n\x17CODE_RESOURCE_EXHAUSTED\x10\x08\x12\x1c\n\x18CODE_FAILED_PRECONDITION\x10\t\x12"
    b"\x10\n\x0cCODE_ABORTED\x10\n\x12\x15\n\x11CODE_OUT_OF_RANGE\x10\x0b\x12\x16\n\x12CODE_UNIMP"
    b"LEMENTED\x10\x0c\x12\x11\n\rCODE_INTERNAL\x10\r\x12\x14\n\x10CODE_UNAVAILABLE\x10\x0e\x12\x12\n"
    b"\x0eCODE_DATA_LOSS\x10\x0f\x12\x18\n\x14CODE_UNAUTHENTICATED\x10\x10:I\n\x07service\x12\x1f.google.protobuf"
    b".ServiceOptions\x18\xa2\x90\x03 \x01(\x0b2\x15.micro.ServiceOptions:F\n\x06method\x12\x1e.google.protob"
    b"uf.MethodOptions\x18\xa2\x90\x03 \x01(\x0b2\x14.micro.MethodOptions:E\n\x05event\x12\x1f.google.protobu"
    b"f.MessageOptions\x18\xa2\x90\x03 \x01(\x0b2\x13.micro.EventOptionsb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
