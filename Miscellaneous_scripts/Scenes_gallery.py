"""Draw twelve of the embedded scenes with their captions, and one scene alone: the pictures in the README.

python Miscellaneous_scripts/Scenes_gallery.py --out Plots/scenes_gallery.png
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sources.scenes import draw, gallery, make_scene

EXAMPLE = 900_005  # a seed that no default database uses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("Plots/scenes_gallery.png"), help="PNG to write (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=2, help="first of the twelve seeds (%(default)s)")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    gallery(args.out, range(args.first_seed, args.first_seed + 12))
    draw(make_scene(EXAMPLE)).save(args.out.with_name("example_scene.png"))
    print(f"wrote {args.out} ({args.out.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
