"""The blobs of a lab, for whoever looks for them next to the stores: two names of `worker.blobs`, no more.

They live with the worker because a worker writes big results itself and may load nothing of the runtime.
"""

from __future__ import annotations

from ..worker.blobs import FileBlobs, blobs_of

__all__ = ["FileBlobs", "blobs_of"]
