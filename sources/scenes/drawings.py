"""The drawings of the scenes as data: colours, patterns, kinds of objects, and backgrounds."""

# Colours of objects (RGB), chosen to differ clearly from each other and from every background.
COLOURS = {
    "red": (218, 36, 40),
    "green": (38, 150, 62),
    "blue": (32, 88, 214),
    "yellow": (252, 214, 24),
    "orange": (246, 128, 14),
    "purple": (126, 44, 168),
    "pink": (252, 132, 190),
    "brown": (122, 72, 34),
    "black": (38, 38, 44),
    "white": (252, 252, 252),
}
PATTERNS = ("plain", "striped", "dotted")

# A drawing is a text with one layer per line, painted in this order. Coordinates are fractions of the object's box, x
# to the right and y down.
#   PAINT shape | shape ...        the shapes as one body with a dark outline
#   flat PAINT shape | shape ...   the same without an outline
# Paints: body (the object's colour and pattern), shade (its colour, darker), ink (a colour that contrasts with it), or
# one of PAINTS.
# Shapes: oval cx cy rx ry [from to], box x0 y0 x1 y1, poly x y x y ..., bar x0 y0 x1 y1 width, arc cx cy rx ry from to
# width. Angles are in degrees, clockwise from the right.
DRAWINGS = {
    "apple": """
        brown bar .5 .4 .56 .04 .07
        leaf poly .55 .2 .66 .06 .9 .03 .82 .2 .67 .26
        body oval .34 .62 .33 .37 | oval .66 .62 .33 .37 | box .4 .4 .6 .9
        flat pale arc .36 .6 .24 .26 190 245 .06""",
    "ball": """
        body oval .5 .5 .5 .5
        flat shade arc .5 .5 .46 .46 10 100 .08
        flat pale oval .32 .28 .1 .07""",
    "balloon": """
        flat dark bar .5 .8 .46 .9 .035 | bar .46 .9 .53 1 .035
        body oval .5 .38 .37 .38 | poly .5 .7 .58 .84 .42 .84
        flat pale arc .5 .38 .27 .28 190 240 .06""",
    "bird": """
        flat gold bar .46 .8 .44 .99 .05 | bar .58 .8 .58 .99 .05
        gold poly .8 .26 1 .36 .8 .44
        body oval .48 .6 .36 .27 | oval .7 .33 .21 .21 | poly .2 .46 0 .3 .06 .66 .25 .72
        flat shade poly .28 .54 .64 .54 .5 .76 .36 .72
        flat white oval .75 .29 .075 .075
        flat dark oval .77 .29 .045 .045""",
    "boat": """
        brown bar .5 .03 .5 .7 .06
        body poly .56 .06 .98 .6 .56 .6 | poly .44 .16 .44 .6 .08 .6
        body poly 0 .68 1 .68 .82 .97 .18 .97
        flat shade box .03 .69 .97 .76""",
    "book": """
        cream poly .2 .8 .92 .8 .92 .96 .2 .96
        body poly .1 .03 .9 .03 .9 .82 .22 .82 .2 .96 .9 .96 .9 1 .1 1
        shade poly .1 .03 .24 .03 .24 .82 .18 .86 .18 1 .1 1
        cream box .4 .14 .76 .34
        flat dark bar .46 .24 .7 .24 .05""",
    "butterfly": """
        flat dark bar .5 .3 .36 .06 .035 | bar .5 .3 .64 .06 .035
        body oval .24 .36 .24 .25 | oval .76 .36 .24 .25 | oval .3 .73 .19 .21 | oval .7 .73 .19 .21
        dark oval .5 .55 .055 .33""",
    "car": """
        body poly .02 .5 .2 .46 .33 .18 .7 .18 .85 .46 .98 .52 1 .78 0 .78
        glass poly .27 .46 .37 .25 .49 .25 .49 .46
        glass poly .55 .46 .55 .25 .66 .25 .76 .46
        gold box .92 .55 1 .64
        dark oval .24 .78 .15 .15 | oval .77 .78 .15 .15
        flat pale oval .24 .78 .065 .065 | oval .77 .78 .065 .065""",
    "cat": """
        body poly .06 .02 .42 .2 .1 .5 | poly .94 .02 .58 .2 .9 .5 | oval .5 .57 .46 .4
        flat rose poly .13 .13 .29 .23 .17 .32 | poly .87 .13 .71 .23 .83 .32
        white oval .31 .5 .1 .1 | oval .69 .5 .1 .1
        flat dark oval .32 .51 .045 .075 | oval .68 .51 .045 .075
        flat ink bar 0 .66 .24 .7 .03 | bar .02 .82 .24 .77 .03 | bar 1 .66 .76 .7 .03 | bar .98 .82 .76 .77 .03
        rose poly .42 .66 .58 .66 .5 .75""",
    "cup": """
        body arc .7 .5 .29 .26 -100 110 .11
        body poly .04 .2 .76 .2 .68 .96 .12 .96
        white oval .4 .2 .36 .1
        flat coffee oval .4 .21 .29 .065""",
    "fish": """
        body poly .62 .5 1 .18 .92 .5 1 .82 | oval .42 .5 .42 .31 | poly .3 .25 .5 .05 .62 .3
        flat ink arc .16 .5 .24 .26 -50 50 .035
        white oval .2 .42 .085 .085
        flat dark oval .19 .42 .045 .045""",
    "flower": """
        leaf bar .5 .4 .5 1 .08 | poly .5 .95 .6 .76 .86 .7 .76 .9 | poly .5 .95 .4 .76 .14 .7 .24 .9
        body oval .5 .17 .17 .17 | oval .72 .32 .17 .17 | oval .64 .56 .17 .17
        body oval .36 .56 .17 .17 | oval .28 .32 .17 .17
        cream oval .5 .38 .12 .12""",
    "hat": """
        body oval .5 .84 .5 .13 | poly .2 .08 .8 .08 .75 .84 .25 .84
        shade poly .232 .62 .768 .62 .76 .74 .24 .74
        shade oval .5 .1 .3 .07""",
    "heart": """
        body oval .27 .3 .26 .26 | oval .73 .3 .26 .26 | poly .06 .44 .5 .24 .94 .44 .5 .97 | oval .5 .4 .2 .2
        flat pale arc .28 .31 .17 .17 180 250 .06""",
    "house": """
        shade box .7 .06 .83 .4
        body box .1 .42 .9 .98
        body poly .5 .02 1 .5 0 .5
        brown box .5 .64 .7 .98
        glass box .2 .64 .38 .82""",
    "kite": """
        flat dark bar .5 .7 .6 .82 .03 | bar .6 .82 .5 .9 .03 | bar .5 .9 .58 1 .03
        rose poly .5 .84 .68 .76 .7 .88 | poly .5 .86 .34 .96 .34 .8
        body poly .5 0 .9 .32 .5 .8 .1 .32
        flat dark bar .5 0 .5 .8 .03 | bar .1 .32 .9 .32 .03""",
    "lamp": """
        dark bar .5 .5 .5 .9 .07 | oval .5 .92 .26 .07
        flat gold oval .5 .6 .08 .08
        body poly .3 .04 .7 .04 .96 .58 .04 .58""",
    "mushroom": """
        cream poly .38 .5 .62 .5 .68 .98 .32 .98
        body oval .5 .56 .5 .52 180 360
        flat shade arc .5 .56 .4 .44 300 352 .06""",
    "shirt": """
        body poly .3 .05 .7 .05 1 .3 .86 .52 .76 .44 .76 .97 .24 .97 .24 .44 .14 .52 0 .3
        shade oval .5 .05 .15 .13 0 180""",
    "star": """
        body poly .5 0 .65 .33 1 .37 .74 .61 .81 .97 .5 .79 .19 .97 .26 .61 0 .37 .35 .33""",
    "tree": """
        brown box .42 .8 .58 1
        body poly .5 0 .8 .34 .2 .34 | poly .5 .16 .9 .6 .1 .6 | poly .5 .36 1 .86 0 .86""",
    "umbrella": """
        brown bar .5 0 .5 .86 .05 | arc .59 .85 .12 .14 0 180 .05
        body oval .5 .52 .5 .46 180 360
        flat shade bar .5 .08 .5 .52 .025 | arc .5 .52 .22 .45 180 360 .025""",
}
KINDS = tuple(DRAWINGS)
PAINTS = {
    "brown": (128, 84, 48),
    "coffee": (96, 60, 40),
    "cream": (255, 242, 208),
    "dark": (44, 44, 54),
    "glass": (190, 226, 244),
    "gold": (250, 178, 40),
    "leaf": (92, 168, 76),
    "pale": (255, 255, 255),
    "rose": (240, 150, 160),
    "white": (255, 255, 255),
}
OUTLINE = (34, 34, 42)

# Backgrounds, in the same format, in fractions of the picture. They are pale, so that all ten colours contrast.
BACKDROPS = {
    "beach": """
        #d6eefb box 0 0 1 1
        #fff6cf oval .84 .13 .08 .08
        #a9dbe6 box 0 .42 1 .6
        #c9ecf0 bar .1 .47 .3 .47 .012 | bar .45 .52 .7 .52 .012 | bar .75 .46 .95 .46 .012
        #f6e7c0 poly 0 .6 .25 .57 .6 .6 1 .56 1 1 0 1
        #ffffff bar 0 .6 .25 .57 .014 | bar .25 .57 .6 .6 .014 | bar .6 .6 1 .56 .014
        #e9d5a4 oval .2 .78 .02 .008 | oval .5 .88 .02 .008 | oval .78 .72 .02 .008 | oval .9 .92 .02 .008""",
    "desert": """
        #fbdcc8 box 0 0 1 1
        #fff0d8 oval .22 .2 .12 .12
        #f0c6a2 oval .25 .8 .6 .3 | oval .95 .75 .4 .25
        #f5d3ae oval .8 1.02 .8 .36
        #ecc298 oval .1 1.1 .7 .3""",
    "meadow": """
        #dff1fb box 0 0 1 1
        #ffffff oval .2 .16 .12 .05 | oval .28 .13 .09 .06 | oval .74 .24 .13 .05 | oval .68 .21 .07 .05
        #c9e6b2 oval .2 .8 .6 .36 | oval .85 .82 .5 .3
        #b5dc9a oval .5 1.25 1.1 .62
        #9ccb80 bar .1 .84 .12 .8 .01 | bar .36 .78 .38 .74 .01 | bar .62 .9 .64 .86 .01 | bar .88 .8 .9 .76 .01""",
    "mountain": """
        #cddcf2 box 0 0 1 1
        #a9b9d6 poly -.1 .75 .25 .2 .6 .75 | poly .4 .75 .75 .1 1.1 .75
        #f4f7fc poly .25 .2 .345 .35 .28 .32 .23 .36 .155 .35 | poly .75 .1 .86 .305 .79 .27 .72 .31 .64 .305
        #e6eef8 oval .2 .95 .7 .36 | oval .9 .98 .6 .36
        #d5e2f1 oval .6 1.2 .9 .4""",
    "room": """
        #f3e6ee box 0 0 1 1
        #e7d3e1 box .1 0 .16 .7 | box .3 0 .36 .7 | box .5 0 .56 .7 | box .7 0 .76 .7 | box .9 0 .96 .7
        #fbf8f4 box 0 .67 1 .71
        #e2c29a box 0 .71 1 1
        #cda878 bar 0 .8 1 .8 .008 | bar 0 .9 1 .9 .008 | bar .3 .71 .3 .8 .008 | bar .7 .8 .7 .9 .008""",
    "stage": """
        #dcd5ea box 0 0 1 1
        #f4efd9 oval .5 .86 .62 .12 | poly .42 0 .58 0 1.05 .86 -.05 .86
        #cbb697 box 0 .86 1 1
        #e9a9ad box 0 0 .1 .92 | box .9 0 1 .92 | oval .14 0 .2 .12 | oval .5 0 .2 .12 | oval .86 0 .2 .12
        #d68f95 box .03 0 .045 .92 | box .075 0 .085 .92 | box .925 0 .94 .92 | box .97 0 .98 .92""",
}
BACKGROUNDS = tuple(BACKDROPS)
