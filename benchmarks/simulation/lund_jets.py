"""Emissions off a quark or a gluon whose likelihood is known exactly: a primary Lund plane.

A parton whose energy is drawn between 200 and 2,000 GeV, evenly in its logarithm and alike for both, radiates at angles
that fall from 0.4 on. It emits at ln(angle) and at a share z of its energy, of
which the softer of the two partons has less than a half, at the rate

    dN = alpha_s(kt) / pi  P(z)  dz  d ln(angle),    kt = z E angle > 1 GeV

with the leading-order splitting functions P of Altarelli and Parisi (PDG review, "Quantum chromodynamics"), one-loop
running with five flavours from alpha_s(mZ) = 0.1180, and the azimuth at random. What lies below 1 GeV is left to
hadronisation, which is not there. Angular order and the argument of alpha_s are those of coherent showers, and the
plane in which emissions are drawn that of Dreyer, Salam, Soyez, 1807.04758; an analytic discriminant of such
emissions is that of Dreyer, Soyez, Takacs, 2112.09140. Two models:

- independent: neither energy nor flavour of the emitter changes. Emissions are a Poisson process in the plane, so that
  the likelihood ratio is a product over them.
- conserved: the harder of the two partons goes on, with the energy that is left. In q -> q g it may be the gluon, in
  g -> q qbar it is a quark, and nobody sees which it is. The likelihood is then a sum over all histories of flavour,
  a product of 2x2 matrices from the widest angle to the smallest.

Emissions radiate no further, a gluon's two quarks are not told apart, and all are in the jet: it is a model of jets,
whose use is that no classifier can do better than its likelihood. Events are made by a veto algorithm that never
integrates a rate; likelihoods integrate them numerically. That both agree is tested.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

LOWEST, HIGHEST = 200.0, 2000.0  # GeV, of the parton's energy
WIDEST = 0.4
CUT = 1.0  # GeV, the least kt
Z_MASS, ALPHA_AT_Z = 91.188, 0.1180
CF, CA, TR, FLAVOURS = 4 / 3, 3.0, 0.5, 5
GLUON, QUARK = 0, 1
STEPS = 4000  # of the table of integrated rates
NODES = 48  # of Gauss and Legendre in ln z


def alpha_s(kt: np.ndarray) -> np.ndarray:
    """The strong coupling at kt (GeV), one loop."""
    slope = (11 * CA - 4 * TR * FLAVOURS) / (12 * np.pi)
    result: np.ndarray = ALPHA_AT_Z / (1 + 2 * slope * ALPHA_AT_Z * np.log(kt / Z_MASS))
    return result


def splitting(z: np.ndarray) -> np.ndarray:
    """(..., 2, 2): P(z) times z from a flavour to that of the harder parton, for z (...) from 0 to 1/2."""
    hard = 1 - z
    kept = np.empty((*np.shape(z), 2, 2))
    kept[..., QUARK, QUARK] = CF * (1 + hard**2)
    kept[..., QUARK, GLUON] = CF * (1 + z**2) * z / hard
    kept[..., GLUON, GLUON] = 2 * CA * (hard + z**2 / hard + z**2 * hard)
    kept[..., GLUON, QUARK] = 2 * TR * FLAVOURS * z * (z**2 + hard**2)
    return kept


@lru_cache
def integrated_rates() -> tuple[np.ndarray, np.ndarray]:
    """ln(E angle / 2 CUT) (steps,) from 0 up, and (steps, 2) the number of emissions of each flavour below it."""
    reach = np.linspace(0, reach_of(np.array(HIGHEST)), STEPS)
    node, weight = np.polynomial.legendre.leggauss(NODES)
    log_z = np.log(0.5) - reach[:, None] * (1 - node) / 2  # from the cut to a half
    z = np.exp(log_z)
    rate = alpha_s(2 * CUT * np.exp(reach)[:, None] * z)[..., None] / np.pi * splitting(z).sum(axis=-1)
    rate = (rate * weight[:, None]).sum(axis=1) * reach[:, None] / 2
    # Simpson's rule needs the middles; the rate is smooth, so that the trapezium's error of h^2 is corrected by slopes
    step = reach[1]
    slope = np.gradient(rate, step, axis=0, edge_order=2)
    parts = step * (rate[1:] + rate[:-1]) / 2 - step**2 * (slope[1:] - slope[:-1]) / 12
    return reach, np.concatenate([np.zeros((1, 2)), np.cumsum(parts, axis=0)])


def expected_emissions(reach: np.ndarray) -> np.ndarray:
    """(..., 2) mean number of emissions, by flavour, below ln(E angle / 2 CUT) of fixed energy; 0 below 0."""
    known, number = integrated_rates()
    return np.stack([np.interp(reach, known, number[:, flavour]) for flavour in (GLUON, QUARK)], axis=-1)


def energies(events: np.ndarray, conserved: bool) -> np.ndarray:
    """(N,) float64 GeV with which the partons of (N, M, 4) events began: all that there is where energy is conserved,
    else what the emitter has."""
    pt = events[..., 0].astype(np.float64)
    emitter = (events[..., 1] == 0) & (events[..., 2] == 0)
    result: np.ndarray = (pt if conserved else np.where(emitter, pt, 0)).sum(axis=1)
    return result


def reach_of(energy: np.ndarray) -> np.ndarray:
    """ln(E angle / 2 CUT) at the widest angle: how far the plane reaches."""
    result: np.ndarray = np.log(energy * WIDEST / (2 * CUT))
    return result


def generate(flavour: int, count: int, rng: np.random.Generator, conserved: bool) -> np.ndarray:
    """(count, M, 4) float64 events in the format of `qg_jets`: pT in GeV, rapidity and phi from the emitter, and 22,
    the code of what has no mass. The emitter itself lies at (0, 0) with the energy that it has in the end."""
    rows, columns = [], []
    energy = LOWEST * (HIGHEST / LOWEST) ** rng.random(count)
    reach = reach_of(energy)
    flavours = np.full(count, flavour)
    number = np.zeros(count, np.int64)
    active = np.arange(count)
    z_grid = np.linspace(0, 0.5, 2001)
    highest = splitting(z_grid).sum(axis=-1).max() * (1 + 1e-6)
    strongest = float(alpha_s(np.array(CUT)))
    while len(active):
        # Uniform in the triangle of ln(angle) and ln z at the highest rate there is, and kept by the true one
        square = reach[active] ** 2 - 2 * rng.exponential(np.pi / (strongest * highest), len(active))
        active, square = active[square > 0], square[square > 0]
        reach[active] = np.sqrt(square)
        z = 0.5 * np.exp(-reach[active] * rng.random(len(active)))
        width = 2 * CUT * np.exp(reach[active])  # E angle
        to_flavour = splitting(z)[np.arange(len(active)), flavours[active]]
        chance = alpha_s(z * width) / strongest * to_flavour.sum(axis=-1) / highest
        kept = rng.random(len(active)) < chance
        which, z, width, to_flavour = active[kept], z[kept], width[kept], to_flavour[kept]
        angle, azimuth = width / energy[which], rng.uniform(0, 2 * np.pi, len(which))
        changed = rng.random(len(which)) * to_flavour.sum(axis=-1) < to_flavour[:, QUARK]
        rows.append(np.stack([which, number[which]]))
        columns.append(np.stack([z * energy[which], angle * np.cos(azimuth), angle * np.sin(azimuth)], axis=-1))
        number[which] += 1
        if conserved:
            energy[which] *= 1 - z
            reach[which] += np.log1p(-z)
            flavours[which] = np.where(changed, QUARK, GLUON)
            active = active[reach[active] > 0]
    events = np.zeros((count, 1 + number.max(initial=0), 4))
    where, emissions = np.concatenate(rows, axis=1), np.concatenate(columns)
    events[:, 0, 0] = energy
    events[where[0], 1 + where[1], :3] = emissions
    events[..., 3] = np.where(events[..., 0] > 0, 22, 0)
    order = np.argsort(-events[..., 0], axis=1, kind="stable")
    return np.take_along_axis(events, order[..., None], axis=1)


def log_likelihoods(events: np.ndarray, conserved: bool) -> np.ndarray:
    """(N, 2) float64: the logarithm of the density of (N, M, 4) events in ln(angle) and z of their emissions, if the
    parton was a gluon and if it was a quark. M may be wider than needed, padded with zeros."""
    pt, angle = events[..., 0].astype(np.float64), np.hypot(*np.moveaxis(events[..., 1:3].astype(np.float64), -1, 0))
    pt = np.where(angle > 0, pt, 0)  # the emitter and padding lie at 0
    order = np.argsort(-angle, axis=1, kind="stable")[:, : max(1, int((angle > 0).sum(axis=1).max(initial=0)))]
    pt, angle = np.take_along_axis(pt, order, axis=1), np.take_along_axis(angle, order, axis=1)

    energy = energies(events, conserved)
    start = reach_of(energy)
    # of the flavour that began -> the flavour now, up to the factor that `scale` holds
    history, scale = np.broadcast_to(np.eye(2), (len(pt), 2, 2)).copy(), np.zeros((len(pt), 2))
    for emission in range(pt.shape[1]):
        there = np.flatnonzero(angle[:, emission] > 0)
        share = pt[there, emission] / energy[there]
        width = energy[there] * angle[there, emission]
        reach = np.log(width / (2 * CUT))
        survived = np.exp(expected_emissions(reach) - expected_emissions(start[there]))
        rate = alpha_s(share * width)[:, None, None] / np.pi * splitting(share) / share[:, None, None]
        if conserved:
            step = survived[:, :, None] * rate
            energy[there] -= pt[there, emission]
            start[there] = reach + np.log1p(-share)
        else:
            step = np.eye(2) * (survived * rate.sum(axis=-1))[:, :, None]
            start[there] = reach
        history[there] = history[there] @ step
        size = history[there].sum(axis=-1)
        history[there] /= size[..., None]
        scale[there] += np.log(size)
    survived = np.exp(-expected_emissions(start))
    return np.asarray(scale + np.log((history * survived[:, None, :]).sum(axis=-1)))
