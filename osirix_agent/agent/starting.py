"""Contours of a file to start from: each structure is proposed just as it was drawn, until a prompt says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from osirix_agent.agent.shapes import shape_prompt
from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.dicom import read_drawn
from osirix_agent.imaging.structure import ascii_name, structure_name
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import ShapePrompt
from osirix_agent.viewer.protocol import SeriesIdentity


def starting_shapes(
    path: Path, volume: Volume, identity: SeriesIdentity, names: Sequence[str], tell: Callable[[str, str | None], None]
) -> list[tuple[str, ShapePrompt]]:
    """Structures of an RTSTRUCT or SEG with their shapes.

    Parameters
    ----------
    names : only these; all with a contour if empty
    tell : takes what was left out and the structure it is about

    Raises
    ------
    DicomError
        The file cannot be read, or was drawn on something else.
    PromptError
        A structure named is not in it.
    """
    drawn = read_drawn(path, volume.geometry, identity.frame_of_reference_uid, identity.series_uid)
    known = {structure_name(one.name) or ascii_name(one.name): one for one in drawn}
    asked = [structure_name(name) or name for name in names]
    missing = [name for name in asked if name not in known]
    if missing:
        raise PromptError(
            f"{len(missing)} of the structures named are not in the file.", f"It holds: {', '.join(sorted(known))}."
        )
    found = []
    for name, one in known.items():
        if asked and name not in asked:
            continue
        for why, count in one.left_out.items():
            tell(f"{count} of its contours in the file left out: {why}.", name)
        shape = volume.geometry.shape_kji[1:]
        rings = {k: tuple(held) for k, held in one.rings_ji.items() if fill(held, shape).any()}
        if rings:
            found.append((name, shape_prompt(rings, volume, "started from a file")))
        else:
            tell("nothing of it in the file can be used.", name)
    return found
