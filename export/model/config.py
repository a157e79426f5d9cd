"""The one configuration of the network: its default is the released KEEP."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Flow = Literal["gmflow", "pyramid", "none"]


@dataclass(frozen=True)
class KeepConfig:
    """Sizes and switches of KEEP.

    The latent grid is `face_size` halved once per level after the first. `kalman=False` and
    `cfa=False` are the ablations of the paper's Table 2: without the Kalman filter network every
    latent is the observed one, without cross-frame attention no feature is carried. CFT and CFA
    act where the side of a feature map is in `cft_scales` and `cfa_scales`, CFA after CFT. `flow`
    asks the question of its Table 3: the released network's is "gmflow".
    """

    face_size: int = 512
    base_channels: int = 64
    channel_multipliers: tuple[int, ...] = (1, 2, 2, 4, 4, 8)
    norm_groups: int = 32
    latent_channels: int = 256
    codebook_size: int = 1024
    lookup_width: int = 512
    lookup_layers: int = 9
    lookup_heads: int = 8
    lookup_mlp: int = 1024
    cft_scales: tuple[int, ...] = (16, 32, 64)
    cfa_scales: tuple[int, ...] = (16, 32)
    cfa_heads: int = 4
    cfa_head_channels: int = 256
    gain_layers: int = 3
    gain_heads: int = 8
    gain_head_channels: int = 48
    gain_res_blocks: int = 3
    flow_channels: tuple[int, int, int] = (64, 96, 128)
    flow_blocks: int = 6
    flow_upsampler_channels: int = 256
    kalman: bool = True
    cfa: bool = True
    flow: Flow = "gmflow"

    @classmethod
    def tiny(cls, **changes: Any) -> KeepConfig:
        """The same code at a size for tests: 128-pixel faces, a few channels and layers."""
        small: dict[str, Any] = {
            "face_size": 128,
            "base_channels": 16,
            "channel_multipliers": (1, 1, 2, 2),
            "norm_groups": 8,
            "latent_channels": 16,
            "codebook_size": 64,
            "lookup_width": 32,
            "lookup_layers": 2,
            "lookup_heads": 2,
            "lookup_mlp": 64,
            "cfa_heads": 2,
            "cfa_head_channels": 16,
            "gain_layers": 2,
            "gain_heads": 2,
            "gain_head_channels": 8,
            "gain_res_blocks": 1,
            "flow_channels": (8, 12, 16),
            "flow_blocks": 2,
            "flow_upsampler_channels": 32,
        }
        return cls(**(small | changes))

    @classmethod
    def small(cls, **changes: Any) -> KeepConfig:
        """Every part at 256-pixel faces and 2.8 million parameters: the demo's network."""
        small: dict[str, Any] = {
            "face_size": 256,
            "base_channels": 8,
            "channel_multipliers": (1, 2, 4, 4, 8),
            "norm_groups": 4,
            "latent_channels": 32,
            "codebook_size": 512,
            "lookup_width": 128,
            "lookup_layers": 4,
            "lookup_heads": 4,
            "lookup_mlp": 256,
            "cfa_heads": 2,
            "cfa_head_channels": 32,
            "gain_layers": 2,
            "gain_heads": 2,
            "gain_head_channels": 16,
            "gain_res_blocks": 1,
            "flow_channels": (16, 24, 32),
            "flow_blocks": 2,
            "flow_upsampler_channels": 64,
        }
        return cls(**(small | changes))

    def __post_init__(self) -> None:
        grid = self.face_size >> (len(self.channel_multipliers) - 1)
        if grid << (len(self.channel_multipliers) - 1) != self.face_size:
            raise ValueError(f"face_size {self.face_size} cannot be halved to a latent grid")
        if self.face_size % 16:
            raise ValueError(f"face_size {self.face_size} is no multiple of 16, as the flow needs")
        if self.flow not in get_args(Flow):
            raise ValueError(f"flow {self.flow!r} is none of {', '.join(get_args(Flow))}")
        if self.flow == "pyramid" and self.face_size % 32:
            raise ValueError(f"face_size {self.face_size} is no multiple of 32, as a pyramid needs")
        if not {*self.cft_scales, *self.cfa_scales} <= set(self.level_sizes):
            raise ValueError(f"CFT and CFA scales must be among the level sizes {self.level_sizes}")

    @property
    def latent_size(self) -> int:
        """Side of the latent grid (16 in the released network)."""
        return self.face_size >> (len(self.channel_multipliers) - 1)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Sides of the feature maps, from the face down to the latent grid."""
        return tuple(self.face_size >> level for level in range(len(self.channel_multipliers)))

    @property
    def flow_size(self) -> int:
        """Side of the grid that flow is matched on, an eighth of the face."""
        return self.face_size // 8

    def channels_at(self, size: int) -> int:
        """Channels of encoder and generator features whose side is `size`."""
        level = (self.face_size // size).bit_length() - 1
        return self.base_channels * self.channel_multipliers[level]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a bundle's manifest; the released flow goes unsaid, as in
        the files of before there was another."""
        values = asdict(self)
        if self.flow == "gmflow":
            del values["flow"]
        return values
