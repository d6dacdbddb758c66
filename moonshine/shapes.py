
import numpy as np
import torch


GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: the step from one state to the next

def scramble(
    x:np.ndarray,  # uint64, any shape
) -> np.ndarray:   # uint64, the same shape
    "SplitMix64's last step: every bit of the result depends on every bit of `x`"
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Dice:
    "A stream of random numbers for each picture, all read together"
    def __init__(self,
        seed:int,             # of the data set
        pictures:np.ndarray,  # (n,) their numbers, from 0
        purpose:int=0,        # streams of different purposes have nothing in common
    ):
        start = scramble(np.array([seed % 2**64], dtype=np.uint64) + GOLDEN)
        start = scramble(start + np.uint64(purpose) * np.array([1], dtype=np.uint64))
        self.start = scramble(start + GOLDEN * (pictures.astype(np.uint64) + np.uint64(1)))
        self.used = 0         # numbers taken from each stream

    def bits(self, *shape) -> np.ndarray:
        "(n, *shape) uint64"
        size = int(np.prod(shape))
        count = np.arange(self.used + 1, self.used + size + 1, dtype=np.uint64)
        self.used += size
        return scramble(self.start[:, None] + count * GOLDEN).reshape(-1, *shape)

    def uniform(self, low:float, high:float, *shape) -> np.ndarray:
        "(n, *shape) float64, evenly spread over [low, high)"
        return low + (high - low) * ((self.bits(*shape) >> np.uint64(11)) * 2.0**-53)


def tilt(
    dice:Dice,
    limit:float,     # the tangent of half the largest angle
) -> tuple:          # cosine and sine, (n,) each
    "A small turn to the left or to the right"
    t = dice.uniform(-limit, limit)
    return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)

def direction(dice:Dice) -> tuple:  # cosine and sine, (n,) each
    "A turn by any angle"
    x, y = dice.uniform(-1, 1), np.where(dice.uniform(0, 1) < 0.5, -1.0, 1.0)
    y = y * (1 - np.abs(x))
    length = np.sqrt(x * x + y * y)
    return x / length, y / length


SHAPES = {}  # class name -> signed distance

def shape(distance):
    "Add a class of shapes, named after its function"
    if distance.__name__ in SHAPES: raise ValueError(f"there is a shape {distance.__name__} already")
    SHAPES[distance.__name__] = distance
    return distance

def length(u, v): return np.sqrt(u * u + v * v)


@shape
def disc(u, v): return length(u, v) - 0.86

@shape
def ring(u, v): return np.abs(length(u, v) - 0.72) - 0.2

@shape
def crescent(u, v): return np.maximum(length(u, v) - 0.92, 0.72 - length(u - 0.45, v))


SIN_60 = 0.8660254037844386

@shape
def square(u, v): return np.maximum(np.abs(u), np.abs(v)) - 0.7

@shape
def frame(u, v): return np.abs(np.maximum(np.abs(u), np.abs(v)) - 0.53) - 0.17

@shape
def triangle(u, v): return np.maximum(SIN_60 * np.abs(u) - 0.5 * v, v) - 0.5

@shape
def hexagon(u, v): return np.maximum(np.abs(v), SIN_60 * np.abs(u) + 0.5 * np.abs(v)) - 0.8


@shape
def cross(u, v):
    a, b = np.abs(u), np.abs(v)
    return np.maximum(np.maximum(a, b) - 0.95, np.minimum(a, b) - 0.28)

@shape
def heart(u, v):
    a = np.abs(u)
    corner = (a + np.abs(v)) * 0.7071067811865476 - 0.5
    return np.minimum(corner, length(a - 0.35355, v + 0.35355) - 0.5)


STAR_EDGES = ((0.0, 1.0), (0.9510565162951535, 0.30901699437494745), (0.5877852522924731, -0.8090169943749475),
              (-0.5877852522924731, -0.8090169943749475), (-0.9510565162951535, 0.30901699437494745))  # every 72 degrees

@shape
def star(u, v):
    edges = np.stack([a * u + b * v for a, b in STAR_EDGES]) - 0.305
    return np.sort(edges, 0)[3]


CLASSES = tuple(SHAPES)


SIDE = 32                          # pixels a side
CENTRES = np.arange(SIDE) + 0.5    # of the pixels, in pixels from the upper left corner

def spread(x:np.ndarray) -> np.ndarray: return x[:, None, None]  # (n,) -> (n, 1, 1), to meet (n, 32, 32)

def local(
    x, y,        # (n,) centre in pixels
    turn:tuple,  # cosine and sine, (n,) each
    radius,      # (n,) pixels
) -> tuple:      # u and v, (n, 32, 32) each, in radii
    "Each pixel's position as the shape sees it"
    right, down = CENTRES - spread(x), CENTRES[:, None] - spread(y)       # (n, 1, 32), (n, 32, 1)
    c, s = (spread(part / radius) for part in turn)
    return right * c + down * s, down * c - right * s

def cover(
    distance,  # (n, 32, 32) pixels
) -> np.ndarray:
    "The share of each pixel that is covered, 0 to 1"
    return np.clip(0.5 - distance, 0.0, 1.0)


def shape_distance(
    labels,     # (n,) class of each picture's shape
    u, v,       # (n, 32, 32) positions, in radii
    radius,     # (n,) pixels
) -> np.ndarray:
    "(n, 32, 32) distance in pixels; each formula is used once, on all pictures of its class"
    distance = np.empty(u.shape)
    for label, name in enumerate(CLASSES):
        which = np.flatnonzero(labels == label)
        distance[which] = SHAPES[name](u[which], v[which])
    return distance * spread(radius)


def paint(
    canvas,    # (n, 32, 32, 3), changed in place
    share,     # (n, 32, 32) how much of each pixel is painted, 0 to 1
    colour,    # (n, 3), or (n, 32, 32, 3)
):
    "Paint one layer over the canvas"
    which, row, column = np.nonzero(share)
    new = colour[which] if colour.ndim == 2 else colour[which, row, column]
    old, share = canvas[which, row, column], share[which, row, column][:, None]
    canvas[which, row, column] = old + share * (new - old)


def texture(
    dice:Dice,
    cells:int,  # of the coarse grid, a side
) -> np.ndarray:
    "(n, 32, 32) smooth random values in [-1, 1]"
    grid = dice.uniform(-1, 1, cells + 1, cells + 1)
    place = CENTRES * (cells / SIDE)                    # of the pixels, in cells
    first = np.floor(place).astype(int)
    share = place - first
    rows = grid[:, first] * (1 - share)[:, None] + grid[:, first + 1] * share[:, None]   # (n, 32, cells + 1)
    return rows[:, :, first] * (1 - share) + rows[:, :, first + 1] * share

def gradient(dice:Dice) -> np.ndarray:
    "(n, 32, 32) from about -1 on one side to 1 on the other, in any direction"
    middle = np.full(len(dice.start), SIDE / 2)
    return local(middle, middle, direction(dice), middle)[0]


def background(dice:Dice) -> tuple:  # canvas (n, 32, 32, 3) and main colour (n, 3), in [0, 1] or a little beyond
    "A colour with a gradient and two textures"
    colour = dice.uniform(0.15, 0.85, 1) + dice.uniform(-0.2, 0.2, 3)
    light = spread(dice.uniform(0, 0.15)) * gradient(dice)
    for cells in (5, 13): light = light + spread(dice.uniform(0, 0.12)) * texture(dice, cells)
    return colour[:, None, None] + light[..., None], colour


def stroke(dice:Dice) -> np.ndarray:
    "(n, 32, 32) cover of a line: anywhere, in any direction, 4 to 18 pixels long, 1 to 3 wide"
    x, y, half_length, half_width = (dice.uniform(low, high) for low, high in ((0, SIDE), (0, SIDE), (2, 9), (0.5, 1.5)))
    u, v = local(x, y, direction(dice), np.ones(len(x)))
    return cover(length(np.maximum(np.abs(u) - spread(half_length), 0.0), v) - spread(half_width))

def fragment(dice:Dice) -> np.ndarray:
    "(n, 32, 32) cover of about half a small shape: any class, anywhere, in any direction"
    labels, radius = np.floor(dice.uniform(0, len(CLASSES))), dice.uniform(3, 5)
    u, v = local(dice.uniform(0, SIDE), dice.uniform(0, SIDE), direction(dice), radius)
    c, s = direction(dice)
    cut = (u * spread(c) + v * spread(s) + spread(dice.uniform(-0.3, 0.3))) * spread(radius)
    return cover(np.maximum(shape_distance(labels, u, v, radius), cut))


def near(dice:Dice, colour) -> np.ndarray:
    "(n, 3) a colour somewhat lighter or darker than `colour` (n, 3), and of a slightly different hue"
    return colour + dice.uniform(-0.15, 0.15, 1) + dice.uniform(-0.1, 0.1, 3)

def clutter(dice:Dice, canvas, colour):
    "Paint two strokes and a fragment"
    for draw in (stroke, stroke, fragment): paint(canvas, draw(dice), near(dice, colour))


def pose(dice:Dice) -> tuple:  # x, y (n,) pixels; turn; radius (n,) pixels
    "Where the object is, how it is turned and how large it is"
    radius = dice.uniform(8, 11)
    x, y = (radius + (SIDE - 2 * radius) * dice.uniform(0, 1) for _ in "xy")
    return x, y, tilt(dice, 0.2), radius

def contrast(dice:Dice, colour) -> np.ndarray:
    "(n, 3) a colour that is much lighter or much darker than `colour` (n, 3)"
    brightness = (colour[:, 0] + colour[:, 1] + colour[:, 2]) / 3
    lighter = np.where(brightness < 0.3, True, np.where(brightness > 0.7, False, dice.uniform(0, 1) < 0.5))
    step = np.where(lighter, 1.0, -1.0) * dice.uniform(0.35, 0.6)
    return colour + step[:, None] + dice.uniform(-0.2, 0.2, 3)


def object_layer(
    dice:Dice,
    labels,    # (n,) class
    colour,    # (n, 3) of the background
) -> tuple:    # cover (n, 32, 32), colour (n, 32, 32, 3)
    "The object of each picture"
    x, y, turn, radius = pose(dice)
    u, v = local(x, y, turn, radius)
    light = spread(dice.uniform(0, 0.09)) * gradient(dice) + spread(dice.uniform(0, 0.07)) * texture(dice, 9)
    return cover(shape_distance(labels, u, v, radius)), contrast(dice, colour)[:, None, None] + light[..., None]


def noise(dice:Dice) -> np.ndarray:
    "(n, 32, 32, 3) evenly spread around 0; each picture has a strength of its own, at most 0.1"
    strength, bits = dice.uniform(0.02, 0.1), dice.bits(SIDE, SIDE)
    parts = np.stack([(bits >> np.uint64(shift)) & np.uint64(2**21 - 1) for shift in (0, 21, 42)], -1)
    return (parts * 2.0**-20 - 1) * spread(strength)[..., None]


def draw_pictures(
    seed:int,
    numbers,  # (n,) which pictures of the seed's endless series
    labels,   # (n,) their classes
) -> tuple:   # images (n, 32, 32, 3) uint8, masks (n, 32, 32) bool
    "Background, clutter, object, a stroke in front, noise"
    dice = Dice(seed, numbers)
    canvas, colour = background(dice)
    clutter(dice, canvas, colour)
    share, object_colour = object_layer(dice, labels, colour)
    paint(canvas, share, object_colour)
    front = stroke(dice)
    paint(canvas, front, near(dice, colour))
    images = np.floor(np.clip(canvas + noise(dice), 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    return images, (share > 0.5) & (front <= 0.5)


def shuffled_labels(n:int, seed:int) -> np.ndarray:
    "(n,) int64; pictures 10k to 10k + 9 show each class once"
    tens = np.arange(-(-n // len(CLASSES)))
    return np.argsort(Dice(seed, tens, purpose=1).bits(len(CLASSES)), 1, kind="stable").reshape(-1)[:n]


def draw_shapes(
    n:int,       # pictures; 0 is allowed
    seed:int=0,  # another seed gives another series of pictures
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # images (n, 3, 32, 32) uint8, labels (n,) int64, masks (n, 32, 32) bool
    "The first n pictures of a seed; `CLASSES` names the labels, a mask is True where the object can be seen"
    labels, images, masks = shuffled_labels(n, seed), np.empty((n, SIDE, SIDE, 3), np.uint8), np.empty((n, SIDE, SIDE), bool)
    for start in range(0, n, 50):  # 50 at a time stay in the processor's cache
        part = np.arange(start, min(n, start + 50))
        images[part], masks[part] = draw_pictures(seed, part, labels[part])
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels), torch.from_numpy(masks)

