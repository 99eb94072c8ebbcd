"""A recorded market, or a raw capture, played through the same doors as a live one."""

from ordertape.replay.capture import CaptureReplay, CaptureWriter, read_capture

__all__ = ["CaptureReplay", "CaptureWriter", "read_capture"]
