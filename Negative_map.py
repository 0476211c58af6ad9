"""Hard negatives: change a few words of a true caption so that it becomes false for its picture.

Two things live here: the vocabulary of words that may stand in for each other, and the logic that turns one
*parsed* caption into a negative. The parse is made once, when the database is built; drawing a negative from it
needs no parser, no torch and no numpy of its own, and takes tens of microseconds.

    slots = find_slots(parse)                                   # once per caption, may be kept
    negative = swap(parse, slots, rng, allowed=word_counts)     # anew in every epoch

How the vocabulary is organised:

- a *group* is a set of words that can be true of the same thing (synonyms, a kind and its sub-kinds, colours that
  people confuse). Words of one group never replace each other;
- a *pool* holds groups that exclude each other and fit the same place in a sentence, so that "riding a bike" may
  become "pushing a bike" but never "sleeping a bike". A replacement comes from another group of the same pool;
- a *category* is what the outside sees (weights, statistics): `action` is the union of all `action.*` pools.

Words that are true of nearly everything ("person", "animal", "vehicle", "toy") are in no group at all.
"""

from __future__ import annotations

import importlib
import importlib.util
import random
import sys
import types
from bisect import bisect
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Sized
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

# One pool a line: "category.pool: group | group". Multi-word entries are written with "_" between the spaCy tokens.
# "+word" is only ever a replacement, "-word" is only ever replaced (a noun: by a singular).
_VOCABULARY = """
colour.any: red maroon crimson burgundy | green lime olive teal turquoise | blue navy | yellow gold golden | orange
  | purple violet lavender | pink magenta | brown tan beige khaki | black | white cream | grey gray silver
colour.natural: black | white cream | brown tan beige red reddish orange yellow golden gold blond blonde | grey gray

number.word: one | two | three | four | five | six | seven | eight | nine | ten
number.digit: 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9

gender.adult: man guy gentleman | woman lady
gender.child: boy | girl
gender.parent: father dad | mother mom
gender.grandparent: grandfather grandpa | grandmother grandma
gender.sibling: brother | sister
gender.offspring: son | daughter
gender.spouse: husband groom | wife bride
gender.noun: male | female
gender.adjective: male | female
gender.work: policeman | policewoman
gender.business: businessman | businesswoman
gender.cow: cowboy | cowgirl
gender.royal: king prince | queen princess
gender.table: waiter | waitress

person.age: baby infant toddler child kid youngster | teenager teen | adult
person.role: skateboarder skater rollerblader | surfer windsurfer swimmer diver wakeboarder | snowboarder skier |
  biker cyclist bicyclist motorcyclist rider racer | climber hiker | runner jogger | dancer ballerina cheerleader |
  player athlete teammate goalie quarterback | soldier | firefighter fireman | chef cook | doctor nurse | musician
  guitarist singer drummer | photographer | clown | police_officer officer | jockey | painter artist | worker |
  wrestler boxer | gymnast | farmer

animal.any: dog puppy poodle greyhound terrier retriever labrador lab collie bulldog beagle dalmatian dachshund
  husky rottweiler pug chihuahua doberman spaniel german_shepherd | cat kitten | horse pony foal | cow bull calf |
  sheep lamb | goat | bird pigeon seagull duck goose swan parrot eagle hawk owl chicken rooster crow flamingo
  ostrich pelican penguin turkey peacock | bear polar_bear panda | elephant | giraffe | zebra | monkey gorilla
  chimpanzee ape | lion | tiger | leopard cheetah | rabbit bunny | fox | wolf | deer elk moose | squirrel chipmunk |
  pig | camel llama | fish shark | turtle tortoise | frog | snake | butterfly | dolphin | whale | seal sea_lion |
  kangaroo | donkey mule | buffalo bison | crab lobster | lizard

clothing.one: shirt jersey blouse tunic -t_-_shirt tshirt -tee_-_shirt | jacket coat parka blazer raincoat | sweater
  sweatshirt hoodie | dress gown | skirt | hat cap beanie sombrero cowboy_hat santa_hat | helmet | scarf bandana |
  tie necktie | vest | suit tuxedo | costume | swimsuit bikini bathing_suit wetsuit leotard | apron | robe kimono |
  headband | mask | wig | belt | necklace | crown tiara | life_jacket life_vest | backpack | bowtie | bracelet |
  hard_hat
clothing.pair: pants jeans trousers slacks sweatpants | shorts trunks swim_trunks | shoes boots sneakers sandals |
  gloves mittens | sunglasses glasses goggles spectacles | socks | headphones | earrings

food.count: apple | banana | carrot | sandwich burger hamburger | cookie | donut doughnut | cake cupcake pie | egg |
  hot_dog | strawberry | watermelon | pizza | mushroom | tomato | lemon | pear | pumpkin | pineapple | potato |
  peach | burrito taco | bagel | waffle pancake | popsicle lollipop
food.mass: broccoli | bread toast | cheese | rice | salad lettuce | soup | pasta spaghetti | ice_cream | pizza |
  cake | popcorn | meat steak beef | chocolate | candy | corn | cereal
food.drink: coffee | tea | beer | wine | milk | juice lemonade | soda

vehicle.large: car taxi cab sedan suv jeep minivan van racecar | truck pickup lorry semi fire_truck pickup_truck |
  bus | train tram trolley locomotive | boat ship sailboat canoe kayak raft ferry rowboat motorboat speedboat yacht
  gondola | airplane plane jet aeroplane | helicopter | tractor bulldozer | wagon cart carriage buggy | ambulance |
  tank | rocket | +motorcycle
vehicle.ridden: bicycle bike motorcycle motorbike dirt_bike mountain_bike tricycle unicycle | scooter moped |
  skateboard | snowboard | surfboard boogie_board wakeboard | sled sleigh toboggan | wheelchair | stroller |
  +tractor

place.ground: grass lawn turf | sand dirt mud gravel soil | snow ice | water | pavement concrete cement asphalt
place.on: beach shore seashore shoreline coast | street road sidewalk path trail highway track racetrack driveway
  pavement runway crosswalk dirt_road | mountain hill hillside mountainside cliff slope | roof rooftop | dock pier |
  stage | bridge | island | balcony | field meadow soccer_field football_field baseball_field | tennis_court
  basketball_court court | -train_track -railroad_track | porch patio deck | trampoline
place.at: beach ocean | park playground | restaurant cafe bar | store shop market mall | church | hospital | gym |
  zoo | library museum | stadium arena | airport | train_station subway_station station | pool swimming_pool | lake
  river pond | farm | school | table desk | -window
place.in: -beach ocean sea | park field meadow yard backyard garden playground farm pasture | forest jungle -woods |
  desert | street road city town village parking_lot alley | kitchen | bedroom | bathroom restroom | living_room |
  dining_room | room | office classroom | restaurant cafe bar pub | store shop supermarket market mall | church
  cathedral temple | hospital | gym gymnasium | garage | library | museum | stadium arena | airport | train_station
  subway_station station subway | barn | lake pond river stream creek canal | pool swimming_pool | tunnel | cave |
  tent | cage | harbor marina | puddle | fountain | hallway corridor | canyon valley | bathtub tub

object.hand: ball football soccer_ball basketball tennis_ball baseball volleyball softball rugby_ball golf_ball
  beachball -beach_ball | frisbee disc disk | stick branch twig | rope leash | kite | balloon | book magazine
  newspaper | cup mug | bottle | umbrella parasol | camera | phone cellphone cell_phone telephone | guitar violin
  banjo cello | bag purse handbag | baseball_bat bat | racket racquet | basket | bucket | box | flag banner | key |
  clock | knife sword | spoon fork | pillow cushion | vase | plate | bowl | candle | star | gun rifle | hose |
  ladder | shovel | drum trumpet flute saxophone | microphone | laptop computer | teddy_bear doll | cube |
  paintbrush | towel blanket | broom | hammer | oar paddle | suitcase | bone | toothbrush | cigarette cigar pipe |
  hula_hoop hoop | tire | remote | bubble | snowball | feather | lamp | heart
object.interior: bench | chair armchair stool | couch sofa loveseat | bed mattress | table desk | shelf bookshelf
  bookcase | cabinet cupboard dresser | sink washbasin | stove oven | refrigerator fridge freezer | toilet | bathtub
  tub | shower | microwave | mirror | window | door doorway | curtain | rug carpet | chandelier +lamp | television
  tv | fireplace | piano | staircase stairway | -ceiling | -floor | counter countertop | painting | dishwasher |
  hammock | headboard | nightstand
object.scene: tree -palm_tree | house building cabin hut cottage castle tower church skyscraper | rock boulder | log
  | flower bush plant | fence railing gate | wall | bridge | fountain | statue sculpture | tent | sign billboard |
  pole post | bench | waterfall | cloud | sun moon | pumpkin | snowman | slide | swing | ramp | fire_hydrant |
  windmill | lighthouse | traffic_light stoplight | parking_meter | picnic_table | stump

material.any: wooden wood -hardwood | metal steel iron -metallic aluminum | plastic | stone -rock brick concrete
  cement marble | glass | -leather | -paper -cardboard | -rubber | -straw
pattern.any: striped | plaid checkered checked | floral flowered flowery | dotted spotted polka_dot | plain solid |
  camouflage

size.any: small little tiny | large big huge giant enormous | medium
size.height: tall | short
size.level: high | low
size.length: long | short
size.depth: shallow | deep
size.width: wide | narrow

relation.side: left | right
relation.upper: upper top | lower bottom
relation.height: above over | below under underneath beneath
relation.depth: in_front_of | behind
relation.top: on_top_of atop | +under +underneath +beneath +below
relation.beside: next_to beside alongside | +under +underneath +beneath | +on_top_of
relation.inside: inside | outside
relation.doors: indoors | outdoors
relation.door: indoor | outdoor
relation.into: into | out_of
relation.onto: onto | off
relation.vertical: up | down
relation.slope: uphill | downhill
relation.toward: towards toward | away_from

state.weather: sunny | cloudy overcast | rainy | snowy
state.terrain: grassy | snowy icy -snow_-_covered | rocky | sandy | muddy
state.wet: wet soaked | dry
state.open: open | closed shut
state.crowd: empty deserted | crowded busy -packed
state.full: empty | full
state.clean: dirty muddy | clean
state.age: young | old elderly
state.sleep: asleep | awake
state.light: dark | bright
state.shade: light bright pale | dark
state.heat: hot | cold
state.mood: happy smiling | sad angry crying
state.curly: curly | straight

action.path: run jog sprint dash race | walk stroll wander hike | jump leap hop | swim | crawl | climb | march
action.place: stand | sit | lie lay | sleep nap | kneel | crouch squat | run jog sprint race | walk stroll | jump
  leap hop | swim | crawl | dance | -climb
action.play: play | +sleep | +sit | +stand | +lie
action.sport: surf | ski | skate rollerblade skateboard | snowboard | bike cycle | +swim | +walk
action.face: smile laugh grin giggle | cry frown | yell scream shout
action.talk: talk speak chat | +wave | +sing | +point
action.look: look stare gaze | +wave | +bark +yell +shout | +point
action.wait: wait rest relax lounge | +run | +dance | +jump
action.t_wear: wear | hold carry | throw | +wash
action.t_hold: hold carry grip clutch grab catch | throw toss hurl | kick | drop | +hide | +paint | +wash | +chase
action.t_hit: hit swing | +throw | +catch +hold +carry
action.t_ride: ride drive | +push | +pull | +wash +clean | +fix +repair | +lead
action.t_walk: walk | +wash | +chase | +feed | +pet
action.t_pull: pull drag tow | push | +carry | +ride
action.t_eat: eat chew bite | +cook +prepare | +cut +slice | +throw | +sell
action.t_drink: drink sip | +pour | +spill | +sell
action.t_read: read | +write | +throw | +carry
action.t_game: play | +watch
action.t_instrument: play | +carry | +paint | +wash | +fix
action.t_climb: climb scale | +paint | +clean | +descend
action.t_chase: chase follow | +carry | +lick | +lead
action.t_care: hug embrace kiss | +chase | +feed | +photograph | +wash
action.t_pet: pet stroke | +chase | +feed | +photograph | +wash
action.t_lick: lick sniff smell | +chase | +carry
action.t_cross: cross | +sweep +clean | +paint
action.t_clean: clean wash sweep | paint draw | +break
action.t_jump: jump leap | +climb | +paint | +kick
action.t_fly: fly | +carry | +fix
action.t_cut: cut slice | +eat | +paint
"""

# Compounds whose parts mean something else than alone. Their tokens are never touched.
_FIXED = """
black and white photo|black and white photograph|black and white picture|black and white image|white water
peace sign|peace signs|wine glasses|drinking glasses
beer glasses|champagne glasses|stuffed animal|a couple of|a pair of|no one|one of
one another|each other|which one|this one|that one|one by one|one is|one has|one who|one with|one in|one on
another one|young one|orange juice|orange slice|hair cut|green screen|black belt|blue jay|wine glass|fire place
yellow light|red light|green light|rock climbing|rock climb|rock climbs|rock band|rock star|rock concert|light up
light fixture
light bulb|night light|road sign|open air|full of|in full|full size|running shoes|bean bag|punching bag|sleeping bag
shopping cart|golf cart|playing field|high school|high five|high chair|high speed|high jump|long jump|hot air
cold cuts|head down|lie detector|upside down|face down|lying down|sit up|push up|pull up|stand up|standing up
dressed up|back and forth|wide open|home plate|plain clothes|short sleeve|short sleeved|long sleeve|long sleeved
left over|right next|right in front|right behind|right away|dry off|dry land|wet suit|watch tower|sea lion|sea shell
star fish|cat fish|guinea pig|clean up|up close|close up|made up|lined up|line up|lit up|lights up|rolled up|hold up
up and down|up to|up for|down syndrome|turned up|bear skin|bull dog|bull fighter|horse back|under way|under water
over there|all over|over weight|over size|well over|inside out|half pipe|off road|sun glasses|sun set|sun flower
basket ball|foot ball|base ball|snow man|snow board|snow boarder|skate board|skate boarder|surf board|bird bath
dog house|bird house|tree house|play house|light house|horse shoe|toy store|at the camera|for the camera
for a camera|at a camera|the camera|bus stop|traffic jam|body of water|glass of water|bottle of water
water bottle|hot tub|clothes line|right hand|left hand|santa claus|cowboy boots|santa suit
bumper car|monkey bars|zebra crossing|crab apple|dog bone|dog bowl|dog bed|cat nap|teddy bears|star wars|red sox
all fours|four wheeler|four wheel|three wheeler|stage coach|train set|train car|street light|street lamp|pool table
day time|every day|day care
"""

# Word lists that the rules consult, "name: words"; indented lines go on. See the rules for what each is for.
_LISTS = """
person: man woman boy girl child kid baby toddler person people lady guy men women boys girls children kids babies
  toddlers individual adult adults teenager couple family crowd student students player players friend friends
  infant someone somebody mother father son daughter brother sister male female gentleman gentlemen ladies guys
  bride groom persons team parent parents teenagers youth
young: boy girl child kid baby toddler boys girls children kids babies toddlers infant teen
path: through across along into toward towards over past up down from away around off out onto after to between by
  about alongside downhill uphill back ahead forward under
expanse: grass snow ground field sand water floor street
not_moving: made built look looks looking speak speaks speaking talk talks talking sing sings singing blow blows
  blowing hold holds holding hang hangs hanging lean leans leaning
openable: mouth mouths door doors window windows book box umbrella eyes gate drawer suitcase
land: area ground terrain landscape bank course ledge surface peak land incline plain plains areas
dark: room sky street forest area background alley hallway tunnel night day building
hair: hair fur coat mane beard mustache ponytail dog dogs
he: he his him himself
she: she her hers herself
slope: hill hills stairs steps mountain slope cliff ramp slide wall tree ladder rock rocks staircase escalator
  mountainside hillside stairway
body: hand hands arm arms head heads mouth face tongue hair leg legs feet foot place part pose breath
always_worn: shirt pants jeans shoes sneakers trousers socks shirts
room: living_room dining_room kitchen bedroom bathroom restroom office classroom hallway restaurant gym
just_room: room rooms
woven: plaid checkered checked floral flowered camouflage polka
one: one
plural_only: they their them each together both other another themselves it its
side: the his her its their far on to upper lower top bottom
unclothed: naked nude topless shirtless underwear
hands: throw toss hurl hide paint wash sell cook prepare cut slice write clean fix repair photograph feed pour
terrain: grassy snowy rocky sandy muddy dusty dense wooded paved dirt icy leafy choppy calm
third_person: begs barks poses tries looks makes takes does performs slides swings
  splashes drives smiles rests waits watches has gets
game: soccer football basketball baseball volleyball tennis hockey rugby frisbee game games cards chess golf
  lacrosse cricket polo softball
instrument: guitar guitars violin drum drums piano instrument instruments trumpet flute saxophone
ambiguous_colour: orange gold silver lime olive cream lavender violet turquoise navy
place.on: on along across down up onto over off near by beside toward towards to from past
place.in: in through into inside near by from outside behind to of around toward towards
ground: in on through into over under across along from onto near by out at
"""


def _joined_lines(text: str) -> list[str]:
    return text.strip().replace("\n\n", "\n").replace("\n  ", " ").splitlines()


def _read_lists(text: str) -> Mapping[str, frozenset[str]]:
    named = (line.partition(": ") for line in _joined_lines(text))
    return {name: frozenset(word.replace("_", " ") for word in words.split()) for name, _, words in named}


_LIST = _read_lists(_LISTS)
_INVARIABLE = ("number", "colour", "material", "pattern", "size", "relation", "state")
_VERB_FORMS = ("VB", "VBP", "VBZ", "VBG", "VBD")
_OBJECT_TAGS = frozenset(("DT", "PRP$", "PRP", "NN", "NNS", "NNP", "JJ", "CD", "WP", "PDT"))

_PRONOUNS = {
    ("he", ""): "she",
    ("she", ""): "he",
    ("his", "PRP$"): "her",
    ("his", ""): "hers",
    ("him", ""): "her",
    ("her", "PRP$"): "his",
    ("her", ""): "him",
    ("hers", ""): "his",
    ("himself", ""): "herself",
    ("herself", ""): "himself",
}
_FIRST_IS_MALE = 0  # every gender pool lists the male group first
_AGREEMENT = {"is": "are", "are": "is", "was": "were", "were": "was", "has": "have", "have": "has"}
_AGREEMENT |= {"does": "do", "do": "does"}

# Replacements are drawn in proportion to count**FREQUENCY_POWER. How often a judge that sees no picture, only which
# words were exchanged, tells the true caption from its negative (log-odds of single words, fitted on half of 400
# Flickr8k photographs, tested on the other half; 0.5 is blind): power 0: 0.77, 0.5: 0.65, 0.75: 0.60, 1: 0.56;
# power 1 without the balance of slots in `swap`: 0.65; uniform over the whole vocabulary, without `allowed`: 0.82.
FREQUENCY_POWER = 1.0


class Parse(NamedTuple):
    """A caption and its parse as parallel sequences, one entry per token that is not white space."""

    text: str
    start: Sequence[int]
    end: Sequence[int]
    lemma: Sequence[str]
    tag: Sequence[str]
    head: Sequence[int]
    dep: Sequence[str]

    @classmethod
    def from_doc(cls, doc: Any) -> Parse:
        """Take from a spaCy Doc what negatives need. A head that is white space becomes the token's own index."""
        tokens = [token for token in doc if not token.is_space]
        index = {token.i: i for i, token in enumerate(tokens)}
        return cls(
            text=doc.text,
            start=tuple(token.idx for token in tokens),
            end=tuple(token.idx + len(token) for token in tokens),
            lemma=tuple(token.lemma_ for token in tokens),
            tag=tuple(token.tag_ for token in tokens),
            head=tuple(index.get(token.head.i, i) for i, token in enumerate(tokens)),
            dep=tuple(token.dep_ for token in tokens),
        )


class Slot(NamedTuple):
    """One place of a caption that may be swapped: tokens first..last hold `word` in the inflection `form`.

    `repairs` are words elsewhere that must follow if this one changes: (token, new word, is it content?). Pronouns
    are content (they become false too); agreement ("two dogs are" -> "one dog is") is only good English, and is
    made only when the number crosses between one and many. `avoid` are words that must not be drawn here.
    """

    category: str
    first: int
    last: int
    word: str
    form: str
    pool: str
    group: int
    repairs: tuple[tuple[int, str, bool], ...] = ()
    avoid: frozenset[str] = frozenset()


class Negative(NamedTuple):
    """A false caption. `changed` are the character spans in `text` of the words that made it false."""

    text: str
    kind: str
    category: str
    changed: tuple[tuple[int, int], ...]


class _Entry(NamedTuple):
    """One surface form of one vocabulary entry, as found by its first word in `_index`."""

    words: tuple[str, ...]
    category: str
    pool: str
    group: int
    word: str
    form: str


class _Group(NamedTuple):
    targets: tuple[str, ...]  # entries that may be drawn
    sources: tuple[str, ...]  # entries that may be replaced
    words: frozenset[str]  # every surface form of every entry: if one of them is known to be true, the group is


class _Table(NamedTuple):
    """What may be drawn for one pool and form under one `allowed`: surfaces, their groups, cumulative weights."""

    surfaces: tuple[str, ...]
    groups: tuple[int, ...]
    cumulative: tuple[float, ...]
    share: Mapping[int, float]


@lru_cache(maxsize=1)
def _inflections() -> Any:
    """lemminflect's inflector without lemminflect's __init__.

    That __init__ imports spaCy if it is installed, to hook into it: 3.0 s and hundreds of modules in every training
    process. A bare package of the same name stands in while the one submodule loads (0.07 s), then goes away, so
    that `import lemminflect` elsewhere still gets the real one.
    """
    loaded = sys.modules.get("lemminflect")
    if loaded is None:
        spec = importlib.util.find_spec("lemminflect")
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError("no module lemminflect, needed to inflect; install it: pip install lemminflect")
        stand_in = types.ModuleType("lemminflect")
        stand_in.__path__ = list(spec.submodule_search_locations)
        sys.modules["lemminflect"] = stand_in
    try:
        return importlib.import_module("lemminflect.core.Inflections").Inflections()
    finally:
        if loaded is None:
            del sys.modules["lemminflect"]


# Where lemminflect's first form is not the one captions use.
_IRREGULAR = {
    ("fish", "NNS"): "fish",
    ("cafe", "NNS"): "cafes",
    ("leap", "VBD"): "leaped",
    ("dive", "VBD"): "dived",
}


@cache
def inflect(entry: str, form: str) -> str:
    """The surface of a vocabulary entry in a Penn form; of a multi-word entry the last word is inflected."""
    *front, last = entry.split(" ")
    if form not in ("NN", "VB", "VBP", ""):
        known = _IRREGULAR.get((last, form)) or next(iter(_inflections().getInflection(last, form)), last)
        return " ".join((*front, known))
    return entry


def _forms(pool: str) -> tuple[str, ...]:
    category = pool.partition(".")[0]
    if category == "action":
        return _VERB_FORMS
    if category in _INVARIABLE or pool in ("clothing.pair", "gender.adjective", "place.ground", "food.mass"):
        return ("",)
    return ("NN", "NNS")


def _read_pools() -> Iterator[tuple[str, list[list[str]]]]:
    """(pool, groups of entries as they are written, "+" and "-" included) for every line of the vocabulary."""
    for line in _joined_lines(_VOCABULARY):
        pool, _, groups = line.partition(": ")
        yield pool, [[entry.replace("_", " ") for entry in group.split()] for group in groups.split("|")]


@lru_cache(maxsize=1)
def _pools() -> Mapping[str, tuple[_Group, ...]]:
    pools = {}
    for pool, groups in _read_pools():
        forms = _forms(pool)
        pools[pool] = tuple(
            _Group(
                targets=tuple(entry.lstrip("+") for entry in group if entry[0] != "-"),
                sources=tuple(entry.lstrip("-") for entry in group if entry[0] != "+"),
                words=frozenset(inflect(entry.lstrip("+-"), form) for entry in group for form in forms),
            )
            for group in groups
        )
    return pools


def _categories() -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Category -> its groups, read from the vocabulary without inflecting anything (import stays instant)."""
    categories: dict[str, tuple[tuple[str, ...], ...]] = {}
    for pool, groups in _read_pools():
        category = pool.partition(".")[0]
        plain = tuple(tuple(entry.lstrip("+-") for entry in group) for group in groups)
        categories[category] = categories.get(category, ()) + plain
    return categories


CATEGORIES: Mapping[str, tuple[tuple[str, ...], ...]] = _categories()


@lru_cache(maxsize=1)
def _index() -> Mapping[str, tuple[_Entry, ...]]:
    """First word of a surface form -> the entries it may begin, the longest first, then in vocabulary order."""
    index: dict[str, list[_Entry]] = {}
    for phrase in _FIXED.replace("\n", "|").split("|"):
        if phrase:
            words = tuple(phrase.split())
            index.setdefault(words[0], []).append(_Entry(words, "", "", 0, phrase, ""))
    for pool, groups in _pools().items():
        for number, group in enumerate(groups):
            for word in group.sources:
                forms = _forms(pool)
                if forms == ("NN", "NNS") and word not in group.targets:
                    forms = ("NN",)
                for form in forms:
                    words = tuple(inflect(word, form).split(" "))
                    entry = _Entry(words, pool.partition(".")[0], pool, number, word, form)
                    index.setdefault(words[0], []).append(entry)
    return {first: tuple(sorted(found, key=lambda entry: -len(entry.words))) for first, found in index.items()}


_NOUN_TAGS = ("NN", "NNS")
_ANY_NOUN = ("NN", "NNS", "NNP", "NNPS")
_PREMODIFIERS = ("JJ", "JJR", "JJS", "NN", "CD", "VBN", "VBG", "RB", "PRP$", "DT", "POS", "HYPH", "CC")


@cache
def _words_of(category: str) -> frozenset[str]:
    """All one-word surface forms of a category."""
    return frozenset(
        word
        for pool, groups in _pools().items()
        if pool.partition(".")[0] == category
        for g in groups
        for word in g.words
    )


@lru_cache(maxsize=1)
def _third_persons() -> frozenset[str]:
    groups = [group for pool, groups in _pools().items() if pool.startswith("action.") for group in groups]
    return _LIST["third_person"].union(inflect(word, "VBZ") for group in groups for word in group.sources)


@lru_cache(maxsize=2)
def _beings(animals: bool) -> frozenset[str]:
    people = _LIST["person"] | _words_of("person") | _words_of("gender")
    return people | _words_of("animal") if animals else people


class _Caption:
    """The parse in the shape the rules ask it: lower-case words and padded look-ups."""

    def __init__(self, parse: Parse) -> None:
        text = parse.text
        self.parse = parse
        self.words = [text[start:end].lower() for start, end in zip(parse.start, parse.end)]
        self.heads, self.deps = parse.head, parse.dep
        self.size = len(self.words)
        self.tags = list(parse.tag)
        for i, tag in enumerate(parse.tag):
            if tag in ("NNP", "NNPS"):
                start = parse.start[i]
                if parse.text[start : parse.end[i]].islower():  # "the white/NNP house/NNP" is no name
                    self.tags[i] = "NN" if tag == "NNP" else "NNS"
            elif tag == "NNS" and self.words[i] in _third_persons() and self._is_verb(i):
                self.tags[i] = "VBZ"
        self.fixed: set[int] = set()  # tokens of fixed compounds met so far

    def _is_verb(self, i: int) -> bool:
        """Is this plural noun really a verb? "A child plays": an article for one, and a noun before it."""
        before = i - 1
        while before >= 0 and self.tags[before] in ("NN", "JJ"):
            before -= 1
        return before >= 0 and self.tags[i - 1] == "NN" and self.words[before] in ("a", "an", "one", "this")

    def word(self, i: int) -> str:
        return self.words[i] if 0 <= i < self.size else ""

    def tag(self, i: int) -> str:
        return self.tags[i] if 0 <= i < self.size else ""

    def glued(self, first: int, last: int) -> bool:
        """Is a hyphen or apostrophe attached on either side ("two-story", "multi-coloured")?"""
        text, start, end = self.parse.text, self.parse.start[first], self.parse.end[last]
        return (start > 0 and text[start - 1] in "-'’/") or text[end : end + 1] in ("-", "/")

    def noun_after(self, last: int) -> int:
        """The head noun of the noun phrase that goes on after token `last`; -1 if none does."""
        colours = _words_of("colour")
        i = last + 1
        while i < self.size and (
            self.tags[i] in ("JJ", "VBN", "VBG", "CD", ",", "HYPH", "CC") or self.words[i] in colours
        ):
            if self.tags[i] == "CC" and self.words[i - 1] not in colours:
                return -1
            i += 1
        if self.tag(i) not in _ANY_NOUN:
            return -1
        while self.tag(i + 1) in _NOUN_TAGS:
            i += 1
        return i

    def preposition(self, first: int) -> str:
        """The preposition that governs the noun phrase around token `first`, or ""."""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS:
            i -= 1
        return self.words[i] if i >= 0 and self.tags[i] in ("IN", "TO", "RP") else ""

    def has_being(self, animals: bool = True) -> bool:
        """Is anybody there who sits or stands? A vase that stands may as well be said to sit."""
        beings = _beings(animals)
        return any(word in beings for word in self.words)

    def absent(self, first: int) -> bool:
        """Is the noun phrase around token `first` said to be missing?"""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS:
            if self.words[i] == "no":
                return True
            i -= 1
        return i >= 0 and self.words[i] == "without"

    def determined(self, first: int) -> bool:
        """Does the noun phrase have an article, number or possessive, so that it is countable in the singular?"""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS:
            if self.tags[i] in ("DT", "CD", "PRP$", "POS"):
                return True
            i -= 1
        return False


def find_slots(parse: Parse) -> tuple[Slot, ...]:
    """Every place of the caption that may be swapped, in reading order.

    Words are looked up by surface, not by the parser's lemma (small models say "rid" for "riding"); tags and
    neighbours then decide about the sense. Heads are wrong too often to build on, and only confirm.
    """
    caption, index = _Caption(parse), _index()
    slots = []
    i = 0
    while i < caption.size:
        step = 1
        for entry in index.get(caption.words[i], ()):
            last = i + len(entry.words) - 1
            if last > i and tuple(caption.words[i : last + 1]) != entry.words:
                continue
            if not entry.pool:  # a fixed compound
                step = len(entry.words)
                caption.fixed.update(range(i, i + step))
                break
            if len(entry.words) < step:  # "ice cream" did not fit ("ice cream cone"), so neither does a part of it
                break
            step = len(entry.words)
            slot = None if caption.glued(i, last) else _RULES[entry.category](caption, entry, i, last)
            if slot is not None:
                slots.append(slot)
                break
        i += step
    return tuple(slots)


def _slot(
    entry: _Entry,
    first: int,
    last: int,
    repairs: tuple[tuple[int, str, bool], ...] = (),
    avoid: frozenset[str] = frozenset(),
) -> Slot:
    return Slot(entry.category, first, last, entry.word, entry.form, entry.pool, entry.group, repairs, avoid)


def _noun(caption: _Caption, entry: _Entry, first: int, last: int) -> Slot | None:
    """A noun that heads its phrase. Its compound modifiers go with it: "tennis ball" -> "frisbee"."""
    words, tags = caption.words, caption.tags
    tag = tags[last]
    if tag not in _NOUN_TAGS and not (first == 0 and tag in _ANY_NOUN):
        return None
    if entry.form == "NNS" and tag == "NN" and inflect(entry.word, "NN") == entry.words[-1]:
        return None
    if entry.form == "NN" and tag == "NNS" and inflect(entry.word, "NNS") == entry.words[-1]:
        return None
    if caption.tag(last + 1) in _ANY_NOUN:
        return None
    if caption.absent(first):  # "without a shirt" stays true with any other garment
        return None
    pool, following = entry.pool, caption.word(last + 1)
    if pool == "person.age" and not _LIST["unclothed"].isdisjoint(words):
        return None
    if entry.word == "costume" and not caption.determined(first):
        return None
    if following == "of" and entry.category in ("object", "clothing"):
        return None
    if entry.category == "place":
        preposition = caption.preposition(first)
        if pool == "place.ground" and (preposition not in _LIST["ground"] or caption.word(first - 1) in ("a", "an")):
            return None
        if pool == "place.at" and preposition != "at":
            return None
        if pool in ("place.on", "place.in") and preposition not in _LIST[pool] and (preposition or tag == "NNS"):
            return None
        if caption.word(first - 1) in _LIST["terrain"] or caption.tag(first - 1) == "VBG":  # no "grassy river"
            return None
    if pool == "food.count" and entry.form == "NN" and not caption.determined(first):
        return None
    if pool in ("food.mass", "food.drink") and tag == "NNS":
        return None
    if entry.word == "glasses" and following in ("of", "on"):
        return None
    while first > 0 and tags[first - 1] in _ANY_NOUN:
        before = words[first - 1]
        if before in _words_of("material") or before in _words_of("colour") or before in _words_of("pattern"):
            break
        is_compound = tags[first - 1] == "NN" and caption.deps[first - 1] == "compound"
        if not is_compound or not first <= caption.heads[first - 1] <= last or first - 1 in caption.fixed:
            return None
        first -= 1
    if tag == "NNS" and caption.word(first - 1) in ("a", "an"):  # "a runner slides": a verb that was taken for a noun
        return None
    if entry.category == "place" and entry.word in _LIST["room"]:
        return _slot(entry, first, last, avoid=_LIST["just_room"])
    if entry.word == "room":
        return _slot(entry, first, last, avoid=_LIST["room"])
    # Nearly everybody wears a shirt, trousers and shoes: drawn only where a colour or pattern makes them wrong.
    bare = entry.category == "clothing" and caption.tag(first - 1) not in ("JJ", "NN", "VBN")
    bare = bare and caption.has_being(animals=False)
    return _slot(entry, first, last, avoid=_LIST["always_worn"] if bare else frozenset())


def _gender(caption: _Caption, entry: _Entry, first: int, last: int) -> Slot | None:
    """A gendered noun, with the pronouns that surely refer to it; none of it where that is unclear."""
    tag = caption.tags[first]
    if entry.pool == "gender.adjective":
        fits = tag == "JJ" and caption.tag(first + 1) in _ANY_NOUN
        return _slot(entry, first, last) if fits and caption.word(first + 1) not in _words_of("gender") else None
    if tag not in _NOUN_TAGS and not (first == 0 and tag in _ANY_NOUN):
        return None
    if caption.tag(last + 1) in _ANY_NOUN or not _LIST["unclothed"].isdisjoint(caption.words):
        return None
    male = entry.group == _FIRST_IS_MALE
    pronouns = [i for i, word in enumerate(caption.words) if word in (_LIST["he"] if male else _LIST["she"])]
    if entry.form == "NNS" or not pronouns:
        return _slot(entry, first, last)
    if sum(word in _singular_nouns(male) for word in caption.words) > 1:
        return None
    repairs = []
    for i in pronouns:
        word, tag = caption.words[i], caption.tags[i]
        if word == "her" and caption.tag(i + 1) in ("JJ", *_ANY_NOUN):  # tagged PRP now and then
            tag = "PRP$"
        new = _PRONOUNS.get((word, tag)) or _PRONOUNS[word, ""]
        repairs.append((i, new, True))
    return _slot(entry, first, last, tuple(repairs))


@lru_cache(maxsize=2)
def _singular_nouns(male: bool) -> frozenset[str]:
    """What a male (or female) pronoun may refer to: gendered nouns of that side and nouns of no gender."""
    side = 0 if male else 1
    gendered = {
        word for pool, groups in _pools().items() if pool.startswith("gender.") for word in groups[side].sources
    }
    neutral = {word for pool in ("person.age", "person.role") for group in _pools()[pool] for word in group.sources}
    return frozenset(gendered | neutral | {"person", "someone", "individual"})


def _number(caption: _Caption, entry: _Entry, first: int, last: int) -> Slot | None:
    """A number that counts a plural noun; "one" and its exchange with the others only where agreement is sure."""
    if caption.tags[first] != "CD" or caption.word(first - 1) in ("number", "no", "#"):
        return None
    colours, within = _words_of("colour"), ("JJ", "VBN", "VBG", "NN", ",", "CC")
    noun = first + 1
    while caption.tag(noun) in within and caption.tag(noun + 1) in (*within, *_ANY_NOUN):
        if caption.tags[noun] == "CC" and not {caption.word(noun - 1), caption.word(noun + 1)} <= colours:
            return None
        noun += 1
    if entry.word == "one":
        repairs = _agreement(caption, first, noun, "NNS") if caption.tag(noun) == "NN" else None
        return None if repairs is None else _slot(entry, first, last, repairs)
    if caption.tag(noun) != "NNS":
        return None
    repairs = _agreement(caption, first, noun, "NN") if entry.pool == "number.word" else None
    return _slot(entry, first, last, repairs or (), frozenset() if repairs else _LIST["one"])


def _agreement(caption: _Caption, first: int, noun: int, form: str) -> tuple[tuple[int, str, bool], ...] | None:
    """What must follow if the noun counted at `first` turns plural (NNS) or singular (NN); None if not sure."""
    words, tags = caption.words, caption.tags
    if caption.tag(first - 1) in ("DT", "PRP$", "PDT", "CD", "JJ") or caption.tag(noun + 1) == "POS":
        return None
    if not _LIST["plural_only"].isdisjoint(words):  # words that speak of several, or of one, later on
        return None
    changed = _other_number(words[noun], form)
    if changed is None:
        return None
    repairs = [(noun, changed, False)]
    finite = [i for i, tag in enumerate(tags) if tag in ("VBZ", "VBP") or words[i] in ("was", "were")]
    if not finite:
        return tuple(repairs) if "VBD" in tags or "MD" in tags or "VBG" in tags or len(words) < 8 else None
    verb = finite[0]
    # "There is exactly one dog", "in the corner are two dogs": the verb before the number agrees with it.
    ahead_of_number = words[verb] in ("is", "are", "was", "were") and first - 1 - (tags[first - 1] == "RB") == verb
    if ahead_of_number or (
        len(finite) == 1 and verb > noun and not any(tags[i] in ("CC", ",") for i in range(noun, verb))
    ):
        if not ahead_of_number and caption.deps[noun] not in ("nsubj", "nsubjpass", "ROOT"):
            return None
        wanted = "VBP" if form == "NNS" else "VBZ"
        if tags[verb] == wanted:  # the tagger and the noun disagree
            return None
        new = _AGREEMENT.get(words[verb])
        if new is None:
            base = caption.parse.lemma[verb].lower()
            new = inflect(base, wanted) if words[verb] in (base, inflect(base, "VBZ")) else None
        return None if new is None else (*repairs, (verb, new, False))
    if verb < first and caption.deps[noun] in ("dobj", "pobj", "conj", "attr") and len(finite) == 1:
        return tuple(repairs)
    return None


@lru_cache(maxsize=4096)
def _other_number(surface: str, form: str) -> str | None:
    """The plural (NNS) or singular (NN) of a noun of the vocabulary; None for a noun that is not in it."""
    for entry in _index().get(surface, ()):
        if entry.words == (surface,) and entry.form and entry.form in _NOUN_TAGS and entry.form != form:
            return inflect(entry.word, form)
    return {"person": "people", "people": "person"}.get(surface)


def _colour(caption: _Caption, entry: _Entry, first: int, last: int) -> Slot | None:
    word, tag, before = caption.words[first], caption.tags[first], caption.word(first - 1)
    if tag not in ("JJ", "NN"):
        return None
    noun = caption.noun_after(last)
    if noun < 0:
        if tag == "NN" or word in _LIST["ambiguous_colour"]:
            joined = before == "and" and caption.word(first - 2) in _words_of("colour")
            if not joined and before not in ("in", "wearing", "is", "are"):
                return None
        return _slot(entry, first, last) if entry.pool == "colour.any" else None
    head = caption.words[noun]
    if head in _LIST["person"] or caption.tag(first + 1) == "NNP" or head in ("wine", "retriever", "retrievers"):
        return None
    natural = any(word in _LIST["hair"] or word in _words_of("animal") for word in caption.words[last + 1 : noun + 1])
    return _slot(entry, first, last) if natural == (entry.pool == "colour.natural") else None


def _modifier(caption: _Caption, entry: _Entry, first: int, last: int) -> Slot | None:
    """Material, pattern, size and state words that stand before a noun they fit."""
    tag, pool = caption.tags[last], entry.pool
    if tag not in ("JJ", "NN", "VBN", "VBG", "VBD"):
        return None
    if pool == "state.open":
        near = {caption.word(first - 1), caption.word(last + 1)}
        return None if tag == "NN" or near.isdisjoint(_LIST["openable"]) else _slot(entry, first, last)
    if pool == "state.sleep":
        return _slot(entry, first, last)
    if pool == "state.shade":
        return _slot(entry, first, last) if caption.word(last + 1) in _words_of("colour") else None
    noun = caption.noun_after(last)
    if noun < 0 or (tag == "NN" and entry.category in ("state", "size")):
        return None
    head = caption.words[noun]
    person = head in _LIST["person"] or head in _words_of("person") or head in _words_of("gender")
    fits = {
        "material.any": not person and head not in _words_of("clothing"),
        "size.any": not person,
        "size.height": head not in ("hair", "dress", "skirt", "sleeves", "grass"),
        "size.level": not person,
        "size.length": not person,
        "state.weather": head in ("day", "sky", "weather", "afternoon", "morning", "evening", "night"),
        "state.terrain": head in _LIST["land"] or head in _words_of("place"),
        "state.crowd": head in _words_of("place"),
        "state.full": not person and head not in _words_of("place"),
        "state.age": person and head not in _LIST["young"],
        "state.light": head in _LIST["dark"],
        "state.mood": person,
        "state.curly": head == "hair",
        "state.heat": not person and head not in ("air", "pink"),
    }
    if not fits.get(pool, True):
        return None
    woven = entry.category == "pattern" and head in _words_of("animal")
    return _slot(entry, first, last, avoid=_LIST["woven"] if woven else frozenset())


def _relation(caption: _Caption, entry: _Entry, first: int, last: int) -> Slot | None:
    tag, pool, before = caption.tags[first], entry.pool, caption.word(first - 1)
    has_object = caption.tag(last + 1) in _OBJECT_TAGS
    ahead = caption.words[last + 1 : last + 5]
    if pool == "relation.side":
        fits = tag in ("NN", "JJ", "RB") and before in _LIST["side"]
    elif pool == "relation.upper":
        fits = before == "the" and caption.word(last + 1) in ("left", "right", "part", "half", "corner")
    elif pool in ("relation.doors", "relation.slope"):
        fits = tag in ("RB", "NN", "NNS")
    elif pool == "relation.door":
        fits = tag in ("JJ", "NN") and caption.tag(last + 1) in (*_ANY_NOUN, "JJ")
    elif pool == "relation.inside":
        fits = tag in ("IN", "RB") and caption.word(last + 1) not in ("of", "in")
    elif pool == "relation.vertical":
        fits = has_object and not _LIST["slope"].isdisjoint(ahead)
    elif pool in ("relation.top", "relation.beside"):
        fits = (
            has_object and caption.tag(last + 1) != "PRP" and _LIST["person"].isdisjoint(ahead) and "each" not in ahead
        )
    elif pool in ("relation.into", "relation.onto"):
        fits = has_object and tag == "IN" and "air" not in ahead and before not in _LIST["not_moving"]
    elif pool == "relation.height":  # "over the grass" means on it
        fits = has_object and tag == "IN" and before not in _LIST["not_moving"] and _LIST["expanse"].isdisjoint(ahead)
    else:
        fits = has_object and tag == "IN"
    return _slot(entry, first, last) if fits else None


def _action(caption: _Caption, entry: _Entry, first: int, last: int) -> Slot | None:
    """A verb, in the pool of its frame: with an object, with a path, or with a place at most."""
    tag, pool = caption.tags[first], entry.pool
    before, after = caption.word(first - 1), caption.word(first + 1)
    if tag != entry.form or caption.tag(first + 1) == "RP" or before in ("go", "goes", "going", "went"):
        return None
    if caption.tag(first - 1) in ("DT", "PRP$", "JJ", "POS") and tag in ("VBG", "VBD"):
        return None
    if tag == "VBD" and caption.deps[first] == "acl":
        return None
    ahead = caption.words[first + 1 : first + 6]
    transitive = caption.tag(first + 1) in _OBJECT_TAGS
    if caption.tag(first + 1) == "JJ" and caption.noun_after(first) < 0:  # "swings high"
        return None
    if transitive != pool.startswith("action.t_"):
        return None
    if transitive:
        near = ahead[:4]
        if not _LIST["body"].isdisjoint(near) or (
            caption.deps[first] in ("amod", "compound") and caption.tag(first + 1) == "NN"
        ):
            return None
        person = caption.tag(first + 1) == "PRP" or not _LIST["person"].isdisjoint(near)
        if "each" in near or (person and pool not in ("action.t_care", "action.t_wear")):
            return None
        fits = {
            "action.t_wear": not _words_of("clothing").isdisjoint(ahead),
            "action.t_walk": not _words_of("animal").isdisjoint(near),
            "action.t_game": not _LIST["game"].isdisjoint(near) and "video" not in near,
            "action.t_instrument": not _LIST["instrument"].isdisjoint(near),
            "action.t_jump": _words_of("vehicle").isdisjoint(near),
            "action.t_ride": {"wave", "waves", "ride", "rides", "rapids"}.isdisjoint(near),
        }.get(pool, True)
    else:
        if after in ("down", "up", "off", "still") and entry.word in ("sit", "stand", "lie", "lay", "kneel"):
            return None
        on_path = after in _LIST["path"] or any(
            word in _LIST["path"] and caption.heads[i] == first for i, word in enumerate(ahead, first + 1)
        )
        fits = {
            "action.path": on_path and not {"air", "midair"} & set(caption.words),
            "action.place": not {"air", "midair"} & set(caption.words) and caption.has_being(),
            "action.look": after == "at",
            "action.talk": after == "to",
            "action.wait": after not in ("to", "for"),
        }.get(pool, True)
    avoid = _needs_hands() if transitive and not caption.has_being(animals=False) else frozenset()
    return _slot(entry, first, last, avoid=avoid) if fits else None


@lru_cache(maxsize=1)
def _needs_hands() -> frozenset[str]:
    """All forms of the verbs that an animal cannot be the subject of."""
    return frozenset(inflect(verb, form) for verb in _LIST["hands"] for form in _VERB_FORMS)


_RULES = {
    "colour": _colour,
    "number": _number,
    "gender": _gender,
    "material": _modifier,
    "pattern": _modifier,
    "size": _modifier,
    "state": _modifier,
    "relation": _relation,
    "action": _action,
} | dict.fromkeys(("person", "animal", "clothing", "food", "vehicle", "place", "object"), _noun)


_TABLES: dict[int, tuple[Any, int, dict[tuple[str, str], _Table]]] = {}


def _tables(allowed: Container[str] | None) -> dict[tuple[str, str], _Table]:
    """The tables made so far for this very `allowed` object; a reference is kept so that its id stays its own."""
    size = len(allowed) if isinstance(allowed, Sized) else -1
    known = _TABLES.get(id(allowed))
    if known is None or known[0] is not allowed or known[1] != size:
        if len(_TABLES) >= 8:  # a process needs one or two; more is a caller that makes new containers all the time
            _TABLES.clear()
        known = _TABLES[id(allowed)] = (allowed, size, {})
    return known[2]


def _make_table(allowed: Container[str] | None, pool: str, form: str) -> _Table:
    surfaces, groups, weights = [], [], []
    for number, group in enumerate(_pools()[pool]):
        for word in group.targets:
            surface = inflect(word, form)
            if allowed is not None and not all(part in allowed for part in surface.split(" ")):
                continue
            count = min(allowed[part] for part in surface.split(" ")) if isinstance(allowed, Mapping) else 1
            if count > 0:
                surfaces.append(surface)
                groups.append(number)
                weights.append(count**FREQUENCY_POWER)
    total = sum(weights)
    share: dict[int, float] = {}
    for number, weight in zip(groups, weights):
        share[number] = share.get(number, 0.0) + weight / total
    return _Table(tuple(surfaces), tuple(groups), tuple(accumulate(weights)), share)


def draw_replacement(
    rng: random.Random, table: _Table, groups: Sequence[_Group], own: int, blocked: Iterable[frozenset[str]]
) -> str | None:
    """One surface form of another group than `own`, in proportion to its weight in `table`; None if none is left.

    A group with any word in `blocked` is left out whole. Together with the balance of slots in `swap`, counts as
    weights make a word come in as often as it goes out (see FREQUENCY_POWER).
    """
    surfaces, numbers, cumulative, _ = table
    if not surfaces:
        return None
    for _ in range(6):  # nearly always enough; the exact way below costs as much as the pool is long
        i = bisect(cumulative, rng.random() * cumulative[-1])
        words = groups[numbers[i]].words
        if numbers[i] != own and all(words.isdisjoint(some) for some in blocked):
            return surfaces[i]
    left = [
        i
        for i, number in enumerate(numbers)
        if number != own and all(groups[number].words.isdisjoint(some) for some in blocked)
    ]
    if not left:
        return None
    weights = [cumulative[i] - (cumulative[i - 1] if i else 0.0) for i in left]
    return surfaces[rng.choices(left, weights)[0]]


def known_words(parse: Parse) -> frozenset[str]:
    """What a caption says, for `licensed`: its lower-case words and its lemmas."""
    words = {parse.text[start:end].lower() for start, end in zip(parse.start, parse.end)}
    return frozenset(words.union(lemma.lower() for lemma in parse.lemma))


def swap(
    parse: Parse,
    slots: Sequence[Slot],
    rng: random.Random,
    *,
    allowed: Container[str] | None = None,
    licensed: frozenset[str] = frozenset(),
    most: int = 1,
    weights: Mapping[str, float] | None = None,
) -> Negative | None:
    """Replace the words of 1 to `most` slots by words of other groups; None if no slot can be changed.

    allowed: the lower-case words that true captions use; nothing else is drawn. A mapping word -> count draws by
    frequency. It must not change while it is in use. licensed: words of the photograph's other captions
    (`known_words` of each): neither they nor their groups are drawn, for they may be true. weights: how likely a
    category is chosen against the others, 1 if not named, 0 to leave it alone.
    """
    text, own_words, tables, pools = parse.text, known_words(parse), _tables(allowed), _pools()
    chances = []
    for slot in slots:
        table = tables.get((slot.pool, slot.form))
        if table is None:
            table = tables[slot.pool, slot.form] = _make_table(allowed, slot.pool, slot.form)
        # Common words are replaced less often than they occur, by as much as they are drawn too rarely (they cannot
        # replace themselves): then every word goes out as often as it comes in.
        chance = 1.0 - table.share.get(slot.group, 0.0)
        chances.append(chance * (weights.get(slot.category, 1.0) if weights is not None else 1.0))
    wanted = 1 if most == 1 else rng.randint(1, most)
    edits: list[tuple[int, int, str, bool]] = []
    taken: set[int] = set()
    blocked: list[frozenset[str]] = [own_words, licensed]
    category = ""
    while wanted and sum(chances) > 1e-12:
        pick = rng.choices(range(len(slots)), chances)[0]
        chances[pick] = 0.0
        slot = slots[pick]
        tokens = set(range(slot.first, slot.last + 1)).union(repair[0] for repair in slot.repairs)
        if taken & tokens:
            continue
        table = tables[slot.pool, slot.form]
        surface = draw_replacement(rng, table, pools[slot.pool], slot.group, (*blocked, slot.avoid))
        if surface is None:
            continue
        between_many = slot.category == "number" and slot.word != "one" and surface != "one"
        repairs = () if between_many else slot.repairs
        if allowed is not None and any(new.lower() not in allowed for _, new, _ in repairs):
            continue  # an inflection that no true caption uses would mark the negative
        wanted -= 1
        taken |= tokens
        blocked.append(frozenset((surface,)))
        category = category or slot.category
        start, end = parse.start[slot.first], parse.end[slot.last]
        new_word = _like(text[start:end], surface)
        edits.append((start, end, new_word, True))
        if slot.first:
            edits.extend(_article(parse, slot.first - 1, new_word))
        for token, new, content in repairs:
            start, end = parse.start[token], parse.end[token]
            edits.append((start, end, _like(text[start:end], new), content))
    return _negative(text, edits, category) if edits else None


def _article(parse: Parse, token: int, word: str) -> list[tuple[int, int, str, bool]]:
    """The edit that makes the article at `token` fit `word`, if there is one and it does not fit."""
    start, end = parse.start[token], parse.end[token]
    old = parse.text[start:end]
    if old.lower() not in ("a", "an"):
        return []
    new = "an" if _takes_an(word.lower()) else "a"
    if new == old.lower():
        return []
    return [(start, end, new.upper() if word.isupper() and old.isupper() else _like(old, new), False)]


def _takes_an(word: str) -> bool:
    if word.startswith(("uni", "eu", "one", "use", "ufo", "ute")):  # "a unicycle", "a uniform", "a one"
        return False
    return word[0] in "aeiou" or word.startswith(("hour", "hono", "heir", "suv"))


def _like(old: str, new: str) -> str:
    """`new` in the case of `old`."""
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _negative(text: str, edits: list[tuple[int, int, str, bool]], category: str) -> Negative:
    parts, changed = [], []
    position = length = 0
    for start, end, new, content in sorted(edits):
        parts += [text[position:start], new]
        length += start - position
        if content:
            changed.append((length, length + len(new)))
        length += len(new)
        position = end
    parts.append(text[position:])
    return Negative("".join(parts), "swap", category, tuple(changed))
