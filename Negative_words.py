"""The vocabulary of hard negatives: words that may stand in for each other, and their inflected forms.

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
import sys
import types
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
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


LIST = _read_lists(_LISTS)
_INVARIABLE = ("number", "colour", "material", "pattern", "size", "relation", "state")
VERB_FORMS = ("VB", "VBP", "VBZ", "VBG", "VBD")


class Entry(NamedTuple):
    """One surface form of one vocabulary entry, as found by its first word in `entries`."""

    words: tuple[str, ...]
    category: str
    pool: str
    group: int
    word: str
    form: str


class Group(NamedTuple):
    targets: tuple[str, ...]  # entries that may be drawn
    sources: tuple[str, ...]  # entries that may be replaced
    words: frozenset[str]  # every surface form of every entry: if one of them is known to be true, the group is


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


def forms_of(pool: str) -> tuple[str, ...]:
    category = pool.partition(".")[0]
    if category == "action":
        return VERB_FORMS
    if category in _INVARIABLE or pool in ("clothing.pair", "gender.adjective", "place.ground", "food.mass"):
        return ("",)
    return ("NN", "NNS")


def _read_pools() -> Iterator[tuple[str, list[list[str]]]]:
    """(pool, groups of entries as they are written, "+" and "-" included) for every line of the vocabulary."""
    for line in _joined_lines(_VOCABULARY):
        pool, _, groups = line.partition(": ")
        yield pool, [[entry.replace("_", " ") for entry in group.split()] for group in groups.split("|")]


@lru_cache(maxsize=1)
def pools() -> Mapping[str, tuple[Group, ...]]:
    read: dict[str, tuple[Group, ...]] = {}
    for pool, groups in _read_pools():
        forms = forms_of(pool)
        read[pool] = tuple(
            Group(
                targets=tuple(entry.lstrip("+") for entry in group if entry[0] != "-"),
                sources=tuple(entry.lstrip("-") for entry in group if entry[0] != "+"),
                words=frozenset(inflect(entry.lstrip("+-"), form) for entry in group for form in forms),
            )
            for group in groups
        )
    return read


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
def entries() -> Mapping[str, tuple[Entry, ...]]:
    """First word of a surface form -> the entries it may begin, the longest first, then in vocabulary order."""
    index: dict[str, list[Entry]] = {}
    for phrase in _FIXED.replace("\n", "|").split("|"):
        if phrase:
            words = tuple(phrase.split())
            index.setdefault(words[0], []).append(Entry(words, "", "", 0, phrase, ""))
    for pool, groups in pools().items():
        for number, group in enumerate(groups):
            for word in group.sources:
                forms = forms_of(pool)
                if forms == ("NN", "NNS") and word not in group.targets:
                    forms = ("NN",)
                for form in forms:
                    words = tuple(inflect(word, form).split(" "))
                    entry = Entry(words, pool.partition(".")[0], pool, number, word, form)
                    index.setdefault(words[0], []).append(entry)
    return {first: tuple(sorted(found, key=lambda entry: -len(entry.words))) for first, found in index.items()}


@cache
def words_of(category: str) -> frozenset[str]:
    """All one-word surface forms of a category."""
    return frozenset(
        word
        for pool, groups in pools().items()
        if pool.partition(".")[0] == category
        for g in groups
        for word in g.words
    )
