import gc

import grpc
import pytest

from osirix_agent.bench.serve_faults import quietly
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import DamagedError
from osirix_agent.segmenter.wire.refusal import read_refusal

for package in ("prometheus_client", "grpc_health"):
    pytest.importorskip(package, reason="serving needs pip install 'osirix-agent[serve]'")


def calls_kept():
    gc.collect()
    return sum(type(one).__name__ == "_RPCState" for one in gc.get_objects())


@pytest.mark.parametrize("name", ["Open", "KeepAlive", "FindVolume", "Look", "Propose", "Cancel"])
def test_bytes_that_are_no_message_are_refused_and_leave_nothing_behind(name):
    from osirix_agent.segmenter.server.run import SERVICE, SegmenterServer
    from osirix_agent.segmenter.server.service import Limits

    with SegmenterServer(BallSegmenter(), Limits(), None, tell=quietly) as server:
        with grpc.insecure_channel(server.address.removeprefix("grpc://")) as channel:
            streams = name == "Propose"
            call = (channel.unary_stream if streams else channel.unary_unary)(f"/{SERVICE}/{name}", bytes, bytes)
            for _ in range(20):
                with pytest.raises(grpc.RpcError) as caught:
                    list(call(b"\xff\xff\xff", timeout=10)) if streams else call(b"\xff\xff\xff", timeout=10)
                assert isinstance(read_refusal(caught.value.trailing_metadata()), DamagedError)
        assert calls_kept() < 15
