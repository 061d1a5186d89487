from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol",)
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    def __init__(self, protocol: _Optional[int] = ...) -> None: ...

class Capabilities(_message.Message):
    __slots__ = ("protocol", "oldest_protocol", "segmenter", "text", "longest_volume", "longest_message", "clicks", "structures")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SEGMENTER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LONGEST_VOLUME_FIELD_NUMBER: _ClassVar[int]
    LONGEST_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CLICKS_FIELD_NUMBER: _ClassVar[int]
    STRUCTURES_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    oldest_protocol: int
    segmenter: str
    text: bool
    longest_volume: int
    longest_message: int
    clicks: bool
    structures: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, protocol: _Optional[int] = ..., oldest_protocol: _Optional[int] = ..., segmenter: _Optional[str] = ..., text: _Optional[bool] = ..., longest_volume: _Optional[int] = ..., longest_message: _Optional[int] = ..., clicks: _Optional[bool] = ..., structures: _Optional[_Iterable[str]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("key", "idle_s", "liveness_s")
    KEY_FIELD_NUMBER: _ClassVar[int]
    IDLE_S_FIELD_NUMBER: _ClassVar[int]
    LIVENESS_S_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    idle_s: float
    liveness_s: float
    def __init__(self, key: _Optional[bytes] = ..., idle_s: _Optional[float] = ..., liveness_s: _Optional[float] = ...) -> None: ...

class LeaseKey(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    def __init__(self, lease: _Optional[bytes] = ...) -> None: ...

class VolumeKey(_message.Message):
    __slots__ = ("lease", "digest")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    digest: str
    def __init__(self, lease: _Optional[bytes] = ..., digest: _Optional[str] = ...) -> None: ...

class VolumeState(_message.Message):
    __slots__ = ("voxels", "complete")
    VOXELS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    voxels: int
    complete: bool
    def __init__(self, voxels: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("dtype", "shape", "planes", "deflated", "crc32")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    PLANES_FIELD_NUMBER: _ClassVar[int]
    DEFLATED_FIELD_NUMBER: _ClassVar[int]
    CRC32_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    planes: _containers.RepeatedScalarFieldContainer[bytes]
    deflated: _containers.RepeatedScalarFieldContainer[bool]
    crc32: int
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., planes: _Optional[_Iterable[bytes]] = ..., deflated: _Optional[_Iterable[bool]] = ..., crc32: _Optional[int] = ...) -> None: ...

class VolumeHeader(_message.Message):
    __slots__ = ("digest", "shape_kji", "origin_lps", "spacing_kji_mm", "axes_lps", "modality")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SHAPE_KJI_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_LPS_FIELD_NUMBER: _ClassVar[int]
    SPACING_KJI_MM_FIELD_NUMBER: _ClassVar[int]
    AXES_LPS_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    digest: str
    shape_kji: _containers.RepeatedScalarFieldContainer[int]
    origin_lps: _containers.RepeatedScalarFieldContainer[float]
    spacing_kji_mm: _containers.RepeatedScalarFieldContainer[float]
    axes_lps: _containers.RepeatedScalarFieldContainer[float]
    modality: str
    def __init__(self, digest: _Optional[str] = ..., shape_kji: _Optional[_Iterable[int]] = ..., origin_lps: _Optional[_Iterable[float]] = ..., spacing_kji_mm: _Optional[_Iterable[float]] = ..., axes_lps: _Optional[_Iterable[float]] = ..., modality: _Optional[str] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("first_voxel", "values")
    FIRST_VOXEL_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    first_voxel: int
    values: Block
    def __init__(self, first_voxel: _Optional[int] = ..., values: _Optional[_Union[Block, _Mapping]] = ...) -> None: ...

class UploadPart(_message.Message):
    __slots__ = ("start", "chunk")
    START_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    start: UploadStart
    chunk: Chunk
    def __init__(self, start: _Optional[_Union[UploadStart, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ...) -> None: ...

class UploadStart(_message.Message):
    __slots__ = ("lease", "volume")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    volume: VolumeHeader
    def __init__(self, lease: _Optional[bytes] = ..., volume: _Optional[_Union[VolumeHeader, _Mapping]] = ...) -> None: ...

class Ring(_message.Message):
    __slots__ = ("xyz_lps",)
    XYZ_LPS_FIELD_NUMBER: _ClassVar[int]
    xyz_lps: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, xyz_lps: _Optional[_Iterable[float]] = ...) -> None: ...

class Rings(_message.Message):
    __slots__ = ("rings",)
    RINGS_FIELD_NUMBER: _ClassVar[int]
    rings: _containers.RepeatedCompositeFieldContainer[Ring]
    def __init__(self, rings: _Optional[_Iterable[_Union[Ring, _Mapping]]] = ...) -> None: ...

class Prompt(_message.Message):
    __slots__ = ("exclude", "point", "box", "scribble", "lasso", "mask", "phrase")
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    SCRIBBLE_FIELD_NUMBER: _ClassVar[int]
    LASSO_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    PHRASE_FIELD_NUMBER: _ClassVar[int]
    exclude: bool
    point: Ring
    box: Ring
    scribble: Ring
    lasso: Rings
    mask: Mask
    phrase: str
    def __init__(self, exclude: _Optional[bool] = ..., point: _Optional[_Union[Ring, _Mapping]] = ..., box: _Optional[_Union[Ring, _Mapping]] = ..., scribble: _Optional[_Union[Ring, _Mapping]] = ..., lasso: _Optional[_Union[Rings, _Mapping]] = ..., mask: _Optional[_Union[Mask, _Mapping]] = ..., phrase: _Optional[str] = ...) -> None: ...

class Mask(_message.Message):
    __slots__ = ("slices",)
    SLICES_FIELD_NUMBER: _ClassVar[int]
    slices: _containers.RepeatedCompositeFieldContainer[Prompt]
    def __init__(self, slices: _Optional[_Iterable[_Union[Prompt, _Mapping]]] = ...) -> None: ...

class FixedSlice(_message.Message):
    __slots__ = ("k", "rings")
    K_FIELD_NUMBER: _ClassVar[int]
    RINGS_FIELD_NUMBER: _ClassVar[int]
    k: int
    rings: _containers.RepeatedCompositeFieldContainer[Ring]
    def __init__(self, k: _Optional[int] = ..., rings: _Optional[_Iterable[_Union[Ring, _Mapping]]] = ...) -> None: ...

class Excluded(_message.Message):
    __slots__ = ("corner_kji", "crop_kji", "bits")
    CORNER_KJI_FIELD_NUMBER: _ClassVar[int]
    CROP_KJI_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    corner_kji: _containers.RepeatedScalarFieldContainer[int]
    crop_kji: _containers.RepeatedScalarFieldContainer[int]
    bits: Block
    def __init__(self, corner_kji: _Optional[_Iterable[int]] = ..., crop_kji: _Optional[_Iterable[int]] = ..., bits: _Optional[_Union[Block, _Mapping]] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("lease", "volume", "structure", "prompts", "fixed", "excluded", "digest")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    STRUCTURE_FIELD_NUMBER: _ClassVar[int]
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    FIXED_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    volume: str
    structure: str
    prompts: _containers.RepeatedCompositeFieldContainer[Prompt]
    fixed: _containers.RepeatedCompositeFieldContainer[FixedSlice]
    excluded: _containers.RepeatedCompositeFieldContainer[Excluded]
    digest: str
    def __init__(self, lease: _Optional[bytes] = ..., volume: _Optional[str] = ..., structure: _Optional[str] = ..., prompts: _Optional[_Iterable[_Union[Prompt, _Mapping]]] = ..., fixed: _Optional[_Iterable[_Union[FixedSlice, _Mapping]]] = ..., excluded: _Optional[_Iterable[_Union[Excluded, _Mapping]]] = ..., digest: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("running", "ahead")
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    running: bool
    ahead: int
    def __init__(self, running: _Optional[bool] = ..., ahead: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("progress", "part", "length")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    part: bytes
    length: int
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., part: _Optional[bytes] = ..., length: _Optional[int] = ...) -> None: ...

class Belief(_message.Message):
    __slots__ = ("mean_logit", "corner_kji", "shape_kji", "source", "calibration_id", "spread")
    MEAN_LOGIT_FIELD_NUMBER: _ClassVar[int]
    CORNER_KJI_FIELD_NUMBER: _ClassVar[int]
    SHAPE_KJI_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ID_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    mean_logit: Block
    corner_kji: _containers.RepeatedScalarFieldContainer[int]
    shape_kji: _containers.RepeatedScalarFieldContainer[int]
    source: str
    calibration_id: str
    spread: Spread
    def __init__(self, mean_logit: _Optional[_Union[Block, _Mapping]] = ..., corner_kji: _Optional[_Iterable[int]] = ..., shape_kji: _Optional[_Iterable[int]] = ..., source: _Optional[str] = ..., calibration_id: _Optional[str] = ..., spread: _Optional[_Union[Spread, _Mapping]] = ...) -> None: ...

class Spread(_message.Message):
    __slots__ = ("band_steps", "factor", "diagonal")
    BAND_STEPS_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    DIAGONAL_FIELD_NUMBER: _ClassVar[int]
    band_steps: Block
    factor: Block
    diagonal: Block
    def __init__(self, band_steps: _Optional[_Union[Block, _Mapping]] = ..., factor: _Optional[_Union[Block, _Mapping]] = ..., diagonal: _Optional[_Union[Block, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("kind", "what", "cure")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[Refusal.Kind]
        PROMPT: _ClassVar[Refusal.Kind]
        SERIES: _ClassVar[Refusal.Kind]
        MODEL: _ClassVar[Refusal.Kind]
        LEASE: _ClassVar[Refusal.Kind]
        VOLUME: _ClassVar[Refusal.Kind]
        DAMAGED: _ClassVar[Refusal.Kind]
        BUSY: _ClassVar[Refusal.Kind]
        VERSION: _ClassVar[Refusal.Kind]
        SUPERSEDED: _ClassVar[Refusal.Kind]
        STOPPING: _ClassVar[Refusal.Kind]
        STRANGER: _ClassVar[Refusal.Kind]
        FAILED: _ClassVar[Refusal.Kind]
    UNKNOWN: Refusal.Kind
    PROMPT: Refusal.Kind
    SERIES: Refusal.Kind
    MODEL: Refusal.Kind
    LEASE: Refusal.Kind
    VOLUME: Refusal.Kind
    DAMAGED: Refusal.Kind
    BUSY: Refusal.Kind
    VERSION: Refusal.Kind
    SUPERSEDED: Refusal.Kind
    STOPPING: Refusal.Kind
    STRANGER: Refusal.Kind
    FAILED: Refusal.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    CURE_FIELD_NUMBER: _ClassVar[int]
    kind: Refusal.Kind
    what: str
    cure: str
    def __init__(self, kind: _Optional[_Union[Refusal.Kind, str]] = ..., what: _Optional[str] = ..., cure: _Optional[str] = ...) -> None: ...
