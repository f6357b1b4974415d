"""The square of pixels on which one blossom is painted, in polar coordinates around the blossom's centre."""

from dataclasses import dataclass

import numpy as np

# Resolution of the tables along a petal and around the circle; finer than a pixel of any picture that fits a screen.
STEPS = 512
TURN = 2 * np.pi


@dataclass(frozen=True)
class Pose:
    """How one blossom stands in the picture. Lengths in pixels of the canvas, angles in radians."""

    radius: float
    rotation: float
    # Ratio of the short to the long axis of the tilted blossom, and the direction of the short one.
    tilt: float
    tilt_direction: float
    # Where the light comes from.
    light: float
    # How far petals bend sideways from base to tip, in radians.
    bend: float


class Square:
    """The pixels around a blossom: polar coordinates, in units of the radius, and what has been painted so far."""

    def __init__(self, pose: Pose):
        half = int(np.ceil(pose.radius * 1.04)) + 2
        self.half = half
        self.pixels_a_unit = pose.radius
        axis = (np.arange(-half, half, dtype=np.float32) + 0.5) / np.float32(pose.radius)
        cosine, sine = np.float32(np.cos(pose.tilt_direction)), np.float32(np.sin(pose.tilt_direction))
        x, y = axis[None, :], axis[:, None]
        # Stretch along the tilt's direction, so that a circle here is an ellipse in the picture.
        along = (x * cosine + y * sine) * np.float32(1 / pose.tilt - 1)
        x, y = x + along * cosine, y + along * sine
        self.radius = np.sqrt(x * x + y * y)
        self.angle = np.arctan2(y, x)
        self.angle += np.float32(pose.bend) * self.radius
        self.angle -= np.float32(TURN) * np.rint(self.angle * np.float32(1 / TURN))
        self.bin = ((self.angle + np.float32(np.pi)) * np.float32(STEPS / TURN)).astype(np.int32)
        np.clip(self.bin, 0, STEPS - 1, out=self.bin)
        self.colour = np.zeros((3, 2 * half, 2 * half), np.float32)
        self.coverage = np.zeros((2 * half, 2 * half), np.float32)

    def window(self, reach: float) -> tuple[slice, slice]:
        """The rows and columns within `reach` (in radii) of the centre."""
        half = min(self.half, int(np.ceil(reach * self.pixels_a_unit)) + 2)
        inside = slice(self.half - half, self.half + half)
        return inside, inside

    def paint(self, window: tuple, colour: np.ndarray, distance: np.ndarray, shadow: float, reach: float) -> None:
        """Lays `colour` (3, h, w) over the window where the signed `distance` (h, w; in radii, positive inside) is positive.

        What lies below gets darker by up to `shadow`, fading out over `reach` radii from the edge.
        """
        alpha = np.clip(distance * np.float32(self.pixels_a_unit) + np.float32(0.5), 0, 1)
        dark = np.clip(distance * np.float32(1 / reach) + np.float32(1), 0, 1)
        dark *= dark * np.float32(-shadow)
        dark += 1
        below, covered = self.colour[:, *window], self.coverage[window]
        below *= dark
        below += alpha * (colour - below)
        covered += alpha * (1 - covered)
