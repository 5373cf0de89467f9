"""FastJet's anti-kT algorithm (0802.1189, 1111.6097) without the greeting that it prints into a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fastjet


def definition(radius: float) -> fastjet.JetDefinition:
    import fastjet

    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    return fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
