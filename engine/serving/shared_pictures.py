"""Pictures that a client and a Triton server on one machine share: no copy on the wire."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.serving.triton_model import RESTORED

Picture = NDArray[np.uint8]


class SharedPictures:
    """Two regions of system memory, registered with the server: the face in, the face out."""

    def __init__(self, client: Any, shape: tuple[int, ...]) -> None:
        """Takes and registers memory for uint8 pictures of one shape; `close` gives it back."""
        from tritonclient.utils import shared_memory

        self._client, self._library, self._shape = client, shared_memory, shape
        self._size, stem = int(np.prod(shape)), f"keeprt-{uuid.uuid4().hex}"
        self._names = (f"{stem}-in", f"{stem}-out")
        self._regions: list[Any] = []
        try:
            for name in self._names:
                region = shared_memory.create_shared_memory_region(name, f"/{name}", self._size)
                self._regions.append(region)
                client.register_system_shared_memory(name, f"/{name}", self._size)
        except BaseException:
            self.close()
            raise

    def hand_over(self, face: Picture, tensor: Any) -> Any:
        """Puts the face where `tensor` names it; gives the output that names the other region."""
        from tritonclient import grpc

        self._library.set_shared_memory_region(self._regions[0], [np.ascontiguousarray(face)])
        tensor.set_shared_memory(self._names[0], self._size)
        output = grpc.InferRequestedOutput(RESTORED)
        output.set_shared_memory(self._names[1], self._size)
        return output

    def restored(self) -> Picture:
        """A copy of what the server wrote."""
        view = self._library.get_contents_as_numpy(self._regions[1], np.uint8, self._shape)
        return np.array(view)

    def close(self) -> None:
        """Lets the server forget the regions and removes them; also where it is gone."""
        for name, region in zip(self._names, self._regions, strict=False):
            with suppress(Exception):  # grpc's classes; a dead server has forgotten them
                self._client.unregister_system_shared_memory(name)
            self._library.destroy_shared_memory_region(region)
        self._regions = []
