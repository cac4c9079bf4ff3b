from micro_rt.codec.base import Codec
from micro_rt.codec.proto import ProtoCodec
from micro_rt.testing.contracts import CodecContract


class TestProtoCodec(CodecContract):
    def make(self) -> Codec:
        return ProtoCodec()
