"""From parameters to picture: solves the geometry, lights it, and paints layer over layer from back to front."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..classes import CLASS_ID, NUM_CLASSES, PART_NAMES
from .attributes import attributes
from .backdrop import paint_background
from .clothes import Garment, paint_back_collar, paint_necklace
from .features import paint_eyes, paint_mouth, paint_nose
from .hair import HairShell
from .head import OUTSIDE, Neck, View, head_loft, solve
from .light import Canvas, Light, cast_shadow
from .numerics import COARSE_STEP, GRID, F, box_blur, fine_axes, noise, smoothstep, whole_frame
from .people import Face
from .relief import Mouth, Relief
from .skin import MOTTLING, Head, paint_beard, paint_ears, paint_lines, paint_neck
from .strands import HairLayers
from .worn import paint_earrings, paint_glasses, paint_hat

NECK_TOP, BODY_TOP = -0.25, -0.45  # first rows (body coordinates) that neck and clothes can reach
FACE_PARTS = ("skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")
LARGE_PARTS = ("background", "skin", "mouth", "u_lip", "l_lip", "hair", "neck_l", "neck", "cloth")


def _membership(names: tuple[str, ...]) -> np.ndarray:
    """Table over class ids: is the class one of ``names``?"""
    table = np.zeros(NUM_CLASSES, bool)
    table[[CLASS_ID[name] for name in names]] = True
    return table


_IN_FACE, _IS_LARGE = _membership(FACE_PARTS), _membership(LARGE_PARTS)


@dataclass(frozen=True)
class Rendering:
    """A picture and everything that is known about it."""

    face: Face
    image: np.ndarray  # uint8 [size, size, 3]
    labels: np.ndarray  # uint8 [size, size]
    head_mask: np.ndarray  # bool [size, size]: the head without hair, also where something covers it

    @cached_property
    def attributes(self) -> dict[str, bool]:
        """The published attributes; those of worn things and the mouth are read off the visible pixels."""
        return attributes(self.face, self.labels)

    @property
    def pose(self) -> tuple[float, float, float]:
        """(yaw, pitch, roll) in degrees, as drawn."""
        capture = self.face.capture
        return capture.yaw, capture.pitch, capture.roll

    @property
    def light(self) -> tuple[float, float]:
        """(azimuth, elevation) of the key light in degrees."""
        return self.face.capture.light_azimuth, self.face.capture.light_elevation

    def parts(self) -> dict[str, np.ndarray]:
        """The present parts as masks (bool ``[size, size]``), in merge order.

        ``skin`` is the whole visible face with eyes, brows, nose, mouth and what lies behind clear glasses; the other
        parts show what is visible. Merging them in order, a later part over an earlier one, gives ``labels``.
        """
        masks = {name: self.labels == CLASS_ID[name] for name in PART_NAMES}
        masks["skin"] = _IN_FACE[self.labels] | (masks["eye_g"] & self.head_mask)
        return {name: mask for name, mask in masks.items() if mask.any()}


def render(face: Face, size: int) -> Rendering:
    """Draw a face at ``size`` x ``size`` pixels (64 .. 1024; the geometry is the same at every size)."""
    scene = _Scene(face, size)
    image = Canvas(np.empty((3, size, size), F))
    head_mask = scene.paint(image)
    absorb_specks(image.labels)
    grain = np.random.default_rng(face.capture.noise_seed + 3)
    return Rendering(face, image.develop(grain, fine_axes(size)), image.labels, head_mask)


def absorb_specks(labels: np.ndarray) -> None:
    """Give lone pixels of the large parts (no neighbour of their class) the class of the pixel to their left."""
    inner = labels[1:-1, 1:-1]
    left = labels[1:-1, :-2]
    lone = _IS_LARGE[inner] & (inner != left) & (inner != labels[1:-1, 2:])
    lone &= (inner != labels[:-2, 1:-1]) & (inner != labels[2:, 1:-1])
    inner[lone] = left[lone]


class _Scene:
    """Geometry and light of one picture on the coarse grid, and the order of painting."""

    def __init__(self, face: Face, size: int):
        self.face = face
        self.mouth = Mouth(face)
        self.view = View(face, size, self.mouth.y)
        self.light = Light(face.capture)
        self.loft = head_loft(face.person, face.capture.mouth_open)
        self.relief = Relief(face, self.mouth)
        self.frame = whole_frame(size)
        region = self.loft.region(self.view)
        self.surface = solve(self.loft, self.view, region, self.relief.height, iterations=5)
        self.hair = HairShell.on(face, self.view, self.loft)
        self.neck = Neck(face, self.view)
        self.neck_region = self.view.body_rows(NECK_TOP)
        self._light_up()

    def _light_up(self) -> None:
        """Shadows and occlusion of head, neck and hair; irradiance of head and neck."""
        depth = np.full((GRID, GRID), F(OUTSIDE))
        neck_window, head_window = self.neck_region.coarse, self.surface.region.coarse
        neck_depth, neck_normal = self.neck.surface(self.view, self.neck_region)
        depth[neck_window] = neck_depth
        on_head = np.where(self.surface.outline < 0.02, self.surface.depth, F(OUTSIDE))
        depth[head_window] = np.maximum(depth[head_window], on_head)
        casting = self.hair.raise_depth(depth) if self.hair else depth
        self.shadow = cast_shadow(casting, self.light, COARSE_STEP)
        open_sky = np.clip(1 - 2.2 * (box_blur(depth, 4) - depth), 0.35, 1.12)[head_window]
        shadow = self.shadow[head_window]
        self.head = Head(self.face, self.view, self.surface, self.relief, self.light, shadow, open_sky)
        self.neck_irradiance = self._light_neck(neck_normal)

    def _light_neck(self, normal: np.ndarray) -> np.ndarray:
        """Irradiance of the neck, with contact occlusion under the jaw."""
        rows, cols = self.neck_region.coarse
        away = np.full((GRID, GRID), F(1.0))
        away[self.surface.region.coarse] = np.maximum(self.surface.outline, 0)
        _, y = self.view.body(self.neck_region, coarse=True)
        contact = np.clip(1 - np.exp(-away[rows, cols] / 0.16) * smoothstep(-0.3, -0.5, y), 0.25, 1)
        lit = self.light.diffuse(normal, shadow=self.shadow[rows, cols], occlusion=contact)
        return lit * (0.55 + 0.45 * contact)

    def paint(self, canvas: Canvas) -> np.ndarray:
        """Paint everything, back to front; returns the mask of the head."""
        face, head, light = self.face, self.head, self.light
        covered = np.zeros(canvas.labels.shape, bool)
        covered[head.region.fine] = head.outline < -0.02
        paint_background(canvas, face, self.frame)
        layers = HairLayers(self.hair, light, self.shadow, covered) if self.hair else None
        if layers:
            layers.paint_back(canvas)
        mottling = noise(np.random.default_rng(face.capture.noise_seed + 4), canvas.size, *MOTTLING)
        self._paint_body(canvas, mottling)
        paint_ears(canvas, head, light)
        head.paint(canvas, mottling)
        paint_lines(canvas, head)
        paint_nose(canvas, head)
        paint_eyes(canvas, head, light)
        paint_mouth(canvas, head, self.mouth, light)
        if face.person.beard != "none":
            paint_beard(canvas, head, self.mouth)
        if layers:
            head.drop_shadow(canvas, self.hair.front_coverage()[head.region.coarse], light, 1.0)
            layers.paint_front(canvas)
        self._paint_worn(canvas)
        mask = np.zeros(canvas.labels.shape, bool)
        mask[head.region.fine] = head.alpha >= 0.5
        return mask

    def _paint_body(self, canvas: Canvas, mottling: np.ndarray) -> None:
        face, view, neck, region = self.face, self.view, self.neck, self.neck_region
        if face.capture.cloth not in ("bare", "strap"):
            paint_back_collar(canvas, face, view, neck, region)
        on_neck = paint_neck(canvas, face, view, neck, region, self.neck_irradiance, mottling)
        body = view.body_rows(BODY_TOP)
        if face.capture.necklace != "none":
            paint_necklace(canvas, face, view, neck, body, on_neck[body.inside(region)], self.light)
        if face.capture.cloth != "bare":
            Garment(canvas, face, view, neck, body, self.light).paint()

    def _paint_worn(self, canvas: Canvas) -> None:
        face, capture = self.face, self.face.capture
        if capture.glasses != "none":
            paint_glasses(canvas, face, self.view, self.head, self.light)
        if capture.hat != "none":
            paint_hat(canvas, face, self.view, self.head, self.light)
        if capture.earring != "none":
            paint_earrings(canvas, face, self.view, self.head, self.light)
