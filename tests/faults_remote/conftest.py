"""The same servers and environment as the tests of the queue."""

from tests.remote.conftest import aws_environment, s3_address, seaweed

__all__ = ["aws_environment", "s3_address", "seaweed"]
