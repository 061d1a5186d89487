"""What travels between the agent and a segmenter on another machine: package osirix_agent.segmenter.v1, our own.

The stubs are generated and committed; after a change of segmenter.proto, with grpcio-tools 1.74.0 (stubs of
newer ones ask for a newer protobuf than the product does), in the repository's root:

    python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. \
        osirix_agent/segmenter/wire/segmenter.proto
"""

PROTOCOL = 2  # raised by a change that an older side would misread; 2: a volume's chunks go without a checksum
OLDEST_PROTOCOL = 1
SERVER_NAME = "osirix-agent-segmenter"  # in every server's certificate, whatever its machine is called
