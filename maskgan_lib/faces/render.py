"""From parameters to picture: solves the geometry, lights it, and paints layer over layer from back to front."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..classes import CLASS_ID, PART_NAMES
from .backdrop import paint_background
from .clothes import Garment, paint_back_collar, paint_necklace
from .features import paint_eyes, paint_mouth, paint_nose
from .hair import Hair, front_depth
from .head import OUTSIDE, Neck, View, head_loft, solve
from .light import Canvas, Light, cast_shadow
from .numerics import COARSE_STEP, GRID, F, box_blur, coverage, fine_axes, noise, smoothstep, whole_frame
from .people import Face, attributes
from .relief import Mouth, Relief
from .skin import MOTTLING, Head, paint_beard, paint_ears, paint_lines, paint_neck
from .worn import drop_shadow, paint_earrings, paint_glasses, paint_hat

NECK_TOP, BODY_TOP = -0.25, -0.45  # first rows (body coordinates) that neck and clothes can reach
FACE_PARTS = ("skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")
_IN_FACE = np.zeros(len(PART_NAMES) + 1, bool)
_IN_FACE[[CLASS_ID[name] for name in FACE_PARTS]] = True

_LARGE = np.zeros_like(_IN_FACE)
_LARGE[[CLASS_ID[name] for name in ("background", "skin", "mouth", "u_lip", "l_lip", "hair", "neck_l", "neck", "cloth")]] = True


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
    """Give lone pixels of the large areas (no neighbour of their class) the class of the pixel to their left."""
    inner = labels[1:-1, 1:-1]
    left = labels[1:-1, :-2]
    lone = _LARGE[inner] & (inner != left) & (inner != labels[1:-1, 2:])
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
        self.hair = Hair.on(face, self.view, self.loft)
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
        casting = front_depth(self.hair, depth) if self.hair else depth
        self.shadow = cast_shadow(casting, self.light, COARSE_STEP)
        open_sky = np.clip(1 - 2.2 * (box_blur(depth, 4) - depth), 0.35, 1.12)[head_window]
        shading = self.relief.shading(self.surface.X, self.surface.Y)
        normal = self.surface.normals(self.view, shading)
        shadow = self.shadow[head_window]
        self.head = Head(self.face, self.view, self.surface, normal, shading, self.light, shadow, open_sky)
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
        face, capture, view, head, light = self.face, self.face.capture, self.view, self.head, self.light
        covered = np.zeros(canvas.labels.shape, bool)
        covered[head.region.fine] = head.outline < -0.02
        paint_background(canvas, face, self.frame)
        if self.hair:
            self.hair.comb_out(light, self.shadow, covered)
            self.hair.paint_back(canvas)
        mottling = noise(np.random.default_rng(capture.noise_seed + 4), canvas.size, *MOTTLING)
        self._paint_body(canvas, mottling)
        paint_ears(canvas, head, light)
        head.paint(canvas, mottling)
        paint_lines(canvas, head)
        paint_nose(canvas, head)
        paint_eyes(canvas, head, light)
        paint_mouth(canvas, head, self.mouth, light)
        if face.person.beard != "none":
            paint_beard(canvas, head, self.mouth)
        if self.hair:
            self._hair_shadow(canvas)
            self.hair.paint_front(canvas)
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

    def _hair_shadow(self, canvas: Canvas) -> None:
        """Shadow of the front hair on the face."""
        caster = np.zeros((GRID, GRID), F)
        hair = self.hair
        edge = np.maximum(np.maximum(hair.shell.outline, hair.hem - hair.shell.Y), -hair.opening)
        caster[hair.region.coarse] = coverage(edge, self.view.step)
        drop_shadow(canvas, caster[self.head.region.coarse], self.head, self.light, 1.0)

    def _paint_worn(self, canvas: Canvas) -> None:
        face, capture = self.face, self.face.capture
        if capture.glasses != "none":
            paint_glasses(canvas, face, self.view, self.head, self.light)
        if capture.hat != "none":
            paint_hat(canvas, face, self.view, self.head, self.light)
        if capture.earring != "none":
            paint_earrings(canvas, face, self.view, self.head, self.light)
