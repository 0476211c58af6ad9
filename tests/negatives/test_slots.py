import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from swaps import OneCaption, balance_of, swaps

from Config import NegativesConfig
from negatives import nouns
from negatives import slots as slots_lib
from negatives import vocabulary as vocabulary_lib
from negatives.caption import MOST_MENTIONS
from negatives.parsed_caption import read_captions
from negatives.slots import find_slots
from negatives.swap import Swap
from negatives.text import Parse

ROOT = Path(slots_lib.__file__).parent.parent


@pytest.fixture(scope="module")
def parse(nlp):
    return lambda text: Parse.from_doc(nlp(text))


def negatives(parsed, seeds=40, **options):
    return [negative for negative in swaps(parsed, seeds, **options) if negative is not None]


# (caption, the only words that can be drawn, category, the only negative; None: several)
EXACT = [
    # colour
    ("A red car is parked.", "blue", "colour", "A blue car is parked."),
    ("A boy eats an orange apple.", "green", "colour", "A boy eats a green apple."),
    ("A black and white dog runs.", "black white brown", "colour", None),  # both colours can be replaced, see below
    ("A man in a white shirt sits.", "orange", "colour", "A man in an orange shirt sits."),
    ("Two men dressed in black.", "white", "colour", "Two men dressed in white."),
    ("A RED bus", "blue", "colour", "A BLUE bus"),
    ("A BLUE CAR", "orange", "colour", "AN ORANGE CAR"),
    ("Red buses are parked.", "blue", "colour", "Blue buses are parked."),
    # number, with agreement
    ("Two dogs are running.", "three", "number", "Three dogs are running."),
    ("Two dogs are running.", "one", "number", "One dog is running."),
    ("Two dogs run on the beach.", "one", "number", "One dog runs on the beach."),
    ("One dog is running on the grass.", "two", "number", "Two dogs are running on the grass."),
    ("One boy jumps into a pool.", "three", "number", "Three boys jump into a pool."),
    ("There are two blue cups on a beach.", "one", "number", "There is one blue cup on a beach."),
    ("In the upper part is one brown mushroom.", "two", "number", "In the upper part are two brown mushrooms."),
    ("There is exactly one dog on a beach.", "two", "number", "There are exactly two dogs on a beach."),
    ("There are two blue cups and one star on a beach.", "three", "number", None),
    ("The dogs fetch 3 balls.", "5", "number", "The dogs fetch 5 balls."),
    # gender, with pronouns
    ("A man sits with his hat.", "woman", "gender", "A woman sits with her hat."),
    ("A woman holds her dog.", "man", "gender", "A man holds his dog."),
    ("A girl watches a dog jump over her.", "boy", "gender", "A boy watches a dog jump over him."),
    ("Two women walk.", "men", "gender", "Two men walk."),
    ("The boy hurt himself.", "girl", "gender", "The girl hurt herself."),
    ("He is a man who loves his dog.", "woman", "gender", "She is a woman who loves her dog."),
    ("Two boys look at a man and his dog.", "girls", "gender", "Two girls look at a man and his dog."),
    ("Ladies are dancing.", "men", "gender", "Men are dancing."),
    # nouns: inflection, compounds, articles
    ("Three dogs lie in the sun.", "cat cats", "animal", "Three cats lie in the sun."),
    ("A dog lies in the sun.", "elephant cats", "animal", "An elephant lies in the sun."),
    ("An elephant lies in the sun.", "dog", "animal", "A dog lies in the sun."),
    ("The dog bites a ball.", "stick", "object", "The dog bites a stick."),
    ("The boy carries a camera.", "teddy bear", "object", "The boy carries a teddy bear."),
    ("The girl carries a cup.", "umbrella", "object", "The girl carries an umbrella."),
    ("A dog sleeps on the blue couch.", "bench couch", "object", "A dog sleeps on the blue bench."),
    ("The child rides a unicycle.", "adult", "person", "The adult rides a unicycle."),
    ("A child plays.", "adult", "person", "An adult plays."),
    ("A man wears jeans.", "gloves", "clothing", "A man wears gloves."),
    ("A car is to the left of a tree.", "unicycle truck", "vehicle", "A truck is to the left of a tree."),
    ("A boy eats an apple.", "banana", "food", "A boy eats a banana."),
    ("A dog plays in the snow.", "grass", "place", "A dog plays in the grass."),
    ("A dog runs on the beach.", "street", "place", "A dog runs on the street."),
    ("A wooden bench stands there.", "metal", "material", "A metal bench stands there."),
    ("A striped car is here.", "plain", "pattern", "A plain car is here."),
    ("A large tree is here.", "small", "size", "A small tree is here."),
    ("A medium star is here.", "large", "size", "A large star is here."),
    ("A dog runs on a wet street.", "dry", "state", "A dog runs on a dry street."),
    ("A girl with her mouth open sings.", "closed", "state", "A girl with her mouth closed sings."),
    # relations
    ("An apple is to the left of a car.", "right", "relation", "An apple is to the right of a car."),
    ("A large umbrella is above the house.", "below", "relation", "A large umbrella is below the house."),
    (
        "One star is in the upper left of the picture.",
        "lower",
        "relation",
        "One star is in the lower left of the picture.",
    ),
    ("A car is below a tree.", "above", "relation", "A car is above a tree."),
    ("A dog sits in front of a house.", "behind", "relation", "A dog sits behind a house."),
    ("A dog sits behind a house.", "in front of", "relation", "A dog sits in front of a house."),
    ("A cat sleeps on top of a car.", "under", "relation", "A cat sleeps under a car."),
    ("A boy jumps into a pool.", "out of", "relation", "A boy jumps out of a pool."),
    ("A man walks up the stairs.", "down", "relation", "A man walks down the stairs."),
    # actions in every form
    ("A dog is running.", "sleep sleeping", "action", "A dog is sleeping."),
    ("A dog runs in a field.", "sleeps", "action", "A dog sleeps in a field."),
    ("A dog ran in a field.", "slept", "action", "A dog slept in a field."),
    ("The dogs run in a field.", "sleep", "action", "The dogs sleep in a field."),
    ("A man is riding a bike.", "pushing", "action", "A man is pushing a bike."),
    ("A girl wearing a red hat smiles.", "holding", "action", "A girl holding a red hat smiles."),
    ("A man throws a ball.", "kicks", "action", "A man kicks a ball."),
    # colour: natural colours of animals and hair; similar colours are not drawn
    ("A brown horse stands in a field.", "red black", "colour", "A black horse stands in a field."),
    ("A girl with blond hair smiles.", "pink black", "colour", "A girl with black hair smiles."),
    ("A man in an orange vest sits.", "red yellow blue", "colour", "A man in a blue vest sits."),
    ("A boy in a red cap", "pink orange maroon green", "colour", "A boy in a green cap"),
    ("A man wears a light brown jacket.", "black white green", "colour", "A man wears a light green jacket."),
    ("A red car is parked. The red car is old.", "blue", "colour", "A blue car is parked. The blue car is old."),
    ("Her shirt is blue.", "red", "colour", "Her shirt is red."),
    ("A white-haired man in a GREEN hat.", "red", "colour", "A white-haired man in a RED hat."),
    # number: digits, agreement, nouns that are counted twice
    ("2 dogs are running.", "3", "number", "3 dogs are running."),
    ("A group of 4 men sit.", "6", "number", "A group of 6 men sit."),
    ("Three children play.", "one", "number", "One child plays."),
    ("There is one man on a beach.", "three", "number", "There are three men on a beach."),
    ("Two people are walking.", "one", "number", "One person is walking."),
    ("FOUR CATS SLEEP.", "six", "number", "SIX CATS SLEEP."),
    ("Two dogs run. The dogs are brown.", "one three", "number", "Three dogs run. The dogs are brown."),
    ("Both men hold two big red balls.", "three", "number", "Both men hold three big red balls."),
    # gender: nouns and pronouns for the same person
    ("A man walks. The man is old.", "woman", "gender", "A woman walks. The woman is old."),
    (
        "A man stands. The man's hat is red and he smiles.",
        "woman",
        "gender",
        "A woman stands. The woman's hat is red and she smiles.",
    ),
    ("One of the men is tall.", "women", "gender", "One of the women is tall."),
    ("Both women wave.", "men", "gender", "Both men wave."),
    ("A female skier lifts her arms.", "male", "gender", "A male skier lifts his arms."),
    ("The girl's ball is red.", "boy", "gender", "The boy's ball is red."),
    ("A lady sits on a bench", "man", "gender", "A man sits on a bench"),
    ("WOMAN WITH A BAG", "man", "gender", "MAN WITH A BAG"),
    ("woman", "man", "gender", "man"),
    ("A boy gives his sister his hat.", "girl", "gender", "A girl gives her sister her hat."),
    ("A father holds a baby.", "mother", "gender", "A mother holds a baby."),
    ("A cowboy rides a bull.", "cowgirl", "gender", "A cowgirl rides a bull."),
    # person
    ("Children play in a yard.", "adults", "person", "Adults play in a yard."),
    ("A kid sits on the floor.", "adult", "person", "An adult sits on the floor."),
    ("A child runs. The child laughs.", "adult", "person", "An adult runs. The adult laughs."),
    ("A photographer sits at a window.", "clown", "person", "A clown sits at a window."),
    ("Two soldiers stand in a street.", "photographers", "person", "Two photographers stand in a street."),
    # animal: all mentions; replaced by animals that can do the same
    ("A dog is running. The dog is brown.", "cat", "animal", "A cat is running. The cat is brown."),
    ("A cat sits. An old man pets the cat.", "elephant", "animal", "An elephant sits. An old man pets the elephant."),
    ("A black dog and a white dog run.", "cat", "animal", None),
    ("A dog with a stick in its mouth", "bird horse", "animal", "A horse with a stick in its mouth"),
    ("A man rides a horse.", "dog camel", "animal", "A man rides a camel."),
    ("A duck swims in a pond.", "swan bird dog", "animal", "A swan swims in a pond."),
    ("A poodle stands on a table.", "greyhound dog cat", "animal", "A greyhound stands on a table."),
    ("THREE COWS IN A FIELD", "sheep", "animal", "THREE SHEEP IN A FIELD"),
    ("A polar bear sleeps.", "tiger", "animal", "A tiger sleeps."),
    ("Dog", "cat", "animal", "Cat"),
    ("A couple of dogs are running.", "cats", "animal", "A couple of cats are running."),
    ("The dog's ball is red. The dog runs.", "horse", "animal", "The horse's ball is red. The horse runs."),
    # clothing
    ("A boy in a red t-shirt sits.", "hat", "clothing", "A boy in a red hat sits."),
    ("A man in a blue jacket stands.", "dress helmet", "clothing", "A man in a blue helmet stands."),
    ("A woman with sunglasses", "gloves", "clothing", "A woman with gloves"),
    ("She wears a hat. The hat is red.", "scarf", "clothing", "She wears a scarf. The scarf is red."),
    ("a pair of shorts", "gloves", "clothing", "a pair of gloves"),
    ("A boy wears a life jacket.", "helmet", "clothing", "A boy wears a helmet."),
    # food
    ("A girl eats ice cream.", "soup", "food", "A girl eats soup."),
    ("A boy eats a hot dog.", "pizza", "food", "A boy eats a pizza."),
    ("Three carrots lie on a plate.", "tomato tomatoes", "food", "Three tomatoes lie on a plate."),
    ("ice cream", "soup", "food", "soup"),
    ("A cup of coffee stands there.", "milk", "food", "A cup of milk stands there."),
    ("An apple and a knife", "banana", "food", "A banana and a knife"),
    # vehicle: replaced by vehicles that move on the same ground
    ("A bus drives down a street.", "boat truck", "vehicle", "A truck drives down a street."),
    ("A fire truck is parked.", "bus", "vehicle", "A bus is parked."),
    ("An airplane is in the sky.", "car helicopter", "vehicle", "A helicopter is in the sky."),
    ("A man with a snowboard", "skateboard sled", "vehicle", "A man with a sled"),
    ("Two bikes lean on a wall. The bikes are red.", "scooters skateboards", "vehicle", None),
    ("A boy rides a bike.", "skateboard motorcycle", "vehicle", "A boy rides a skateboard."),
    # place: rooms are replaced by rooms, land by land
    ("A man cooks in a kitchen.", "ocean bathroom", "place", "A man cooks in a bathroom."),
    ("People eat in a restaurant.", "desert church", "place", "People eat in a church."),
    ("A cat sits in a forest.", "kitchen desert", "place", "A cat sits in a desert."),
    ("A man stands on a bridge.", "roof", "place", "A man stands on a roof."),
    ("Children play at a park.", "beach", "place", "Children play at a beach."),
    ("A dog stands in the sand.", "snow", "place", "A dog stands in the snow."),
    ("A boy sits in the living room.", "office", "place", "A boy sits in the office."),
    # object
    ("A boy plays soccer.", "tennis", "object", "A boy plays tennis."),
    ("A man plays a guitar.", "violin hammer", "object", "A man plays a violin."),
    ("A man stands next to a fence.", "bridge railing", "object", "A man stands next to a bridge."),
    ("A house stands by a red flower.", "tree statue bush", "object", None),
    (
        "There is a mirror in the hall. The mirror is old.",
        "window chandelier",
        "object",
        "There is a chandelier in the hall. The chandelier is old.",
    ),
    ("A boy holds a teddy bear.", "camera", "object", "A boy holds a camera."),
    ("An umbrella lies there.", "bag", "object", "A bag lies there."),
    ("A tennis player swings a racket.", "bat hammer", "object", "A tennis player swings a bat."),
    # material
    ("A brick wall is behind a man.", "wooden plastic", "material", "A wooden wall is behind a man."),
    ("A man walks on a dirt path.", "brick plastic", "material", "A man walks on a brick path."),
    ("A man in a leather jacket", "denim metal", "material", "A man in a denim jacket"),
    ("Plastic chairs stand there.", "metal", "material", "Metal chairs stand there."),
    # pattern
    ("A girl in a plaid skirt", "striped", "pattern", "A girl in a striped skirt"),
    ("A man in a striped shirt", "checkered", "pattern", "A man in a checkered shirt"),
    ("A polka dot dress hangs there.", "floral", "pattern", "A floral dress hangs there."),
    ("A boy in a shirt with blue stripes", "dots", "pattern", "A boy in a shirt with blue dots"),
    # shape
    ("A round table stands there.", "square oval", "shape", "A square table stands there."),
    ("There is an oval mirror.", "round triangular", "shape", "There is a triangular mirror."),
    ("A triangular sign is here.", "circular", "shape", "A circular sign is here."),
    ("There is a rectangular rug.", "square oval", "shape", "There is an oval rug."),
    ("Children stand in a circle.", "line", "shape", "Children stand in a line."),
    ("A blue triangle is on the wall.", "circle", "shape", "A blue circle is on the wall."),
    ("A curved road", "straight", "shape", "A straight road"),
    # size
    ("A tall building is here.", "short", "size", "A short building is here."),
    ("A larger dog runs.", "smaller", "size", "A smaller dog runs."),
    ("Deep water is here.", "shallow", "size", "Shallow water is here."),
    ("A woman with long hair", "short", "size", "A woman with short hair"),
    # relation
    ("A dog lies on a bench.", "under", "relation", "A dog lies under a bench."),
    ("A dog stands near a pool.", "far from", "relation", "A dog stands far from a pool."),
    ("A lamp is next to a bed.", "under", "relation", "A lamp is under a bed."),
    ("A dog jumps over a log.", "under", "relation", "A dog jumps under a log."),
    ("A man stands outside a house.", "inside", "relation", "A man stands inside a house."),
    ("A ball is on the right side.", "left", "relation", "A ball is on the left side."),
    # state
    ("An empty street is here.", "crowded", "state", "A crowded street is here."),
    ("An old man sits.", "young", "state", "A young man sits."),
    ("A clean car is here.", "dirty", "state", "A dirty car is here."),
    ("Old cars are here.", "new", "state", "New cars are here."),
    ("A cat is asleep.", "awake", "state", "A cat is awake."),
    # action
    ("A man is sitting on a bench.", "standing running", "action", "A man is standing on a bench."),
    ("A baby sleeps.", "sits lies", "action", "A baby sits."),
    ("A woman is reading a book.", "writing", "action", "A woman is writing a book."),
    ("A man washes a car.", "paints", "action", "A man paints a car."),
    ("Two boys are playing soccer.", "watching", "action", "Two boys are watching soccer."),
    ("A boy is fishing and jumping in a lake.", "sleeping", "action", "A boy is fishing and sleeping in a lake."),
    ("A woman hugs a child.", "photographs", "action", "A woman photographs a child."),
    ("A GIRL IS SMILING.", "crying", "action", "A GIRL IS CRYING."),
    ("A girl smiled.", "cried", "action", "A girl cried."),
    # weather and light
    ("A man walks on a sunny day.", "rainy", "weather", "A man walks on a rainy day."),
    ("A cloudy sky is over a city.", "clear", "weather", "A clear sky is over a city."),
    ("A foggy morning", "sunny cloudy", "weather", "A sunny morning"),
    ("An overcast day", "sunny rainy", "weather", "A sunny day"),
    ("A city at night", "sunset", "weather", "A city at sunset"),
    ("A boat at dusk", "noon sunset", "weather", "A boat at noon"),
    ("A dog walks in the rain.", "fog", "weather", "A dog walks in the fog."),
    ("People march during the day.", "night", "weather", "People march during the night."),
]


@pytest.mark.parametrize("caption, allowed, category, expected", EXACT, ids=[case[0] for case in EXACT])
def test_exact_negative(parse, caption, allowed, category, expected):
    known = {*allowed.split(), *(expected or "").lower().rstrip(".").split()}
    drawn = {negative.text for negative in negatives(parse(caption), seeds=12, allowed=known, only=[category])}
    if expected is not None:
        assert drawn == {expected}
    else:
        assert drawn and caption not in drawn


@pytest.mark.parametrize(
    ("caption", "drawn", "repairs"),
    [("Two dogs are running.", "one", "dog is"), ("A man sits with his hat.", "woman", "her")],
)
def test_repairs_use_only_words_of_captions(parse, caption, drawn, repairs):
    parsed, but = parse(caption), ("action", "animal")
    assert negatives(parsed, allowed={drawn, *repairs.split()}, but=but)
    assert not negatives(parsed, allowed={drawn}, but=but)


# (caption, words that must not be in a slot)
UNTOUCHED = [
    ("People watch TV in a room.", "watch"),
    ("The man left the building.", "left"),
    ("A dog can jump over a log.", "can"),
    ("A boy eats an orange.", "orange"),
    ("A glass of orange juice.", "orange glass"),
    ("The light shines on the street.", "light"),
    ("A hot dog stand is here.", "hot dog"),
    ("A stuffed animal on the floor.", "stuffed animal"),
    ("A couple of dogs are running.", "couple"),
    ("A pair of shoes on the floor.", "pair"),
    ("One of the dogs is running.", "one"),
    ("No one is on the beach.", "one"),
    ("Two dogs look at each other.", "each other"),
    ("A dog runs in Times Square in New York.", "times square new york"),
    ("A black and white photo of a dog.", "black white"),
    ("A white woman holds a cup.", "white"),
    ("A two-story house is here.", "two"),
    ("A man smiles at the camera.", "camera"),
    ("A little girl runs.", "little"),
    ("A young boy runs.", "young"),
    ("A man without a shirt runs.", "shirt"),
    ("The dog ball game starts.", "dog ball"),
    ("A man walks down the street.", "down"),
    ("A woman is holding hands with a man.", "holding"),
    ("A person and some people play.", "person people"),
    ("A man kicks a baby.", "kicks"),
    ("An ice cream cone lies there.", "ice cream"),
    ("A man is sitting down.", "sitting down"),
    ("A golden retriever swims.", "golden"),
    ("A runner slides into the second base.", "slides"),
    ("Two puppies chase each other.", "chase"),
    ("A shirtless man runs.", "man"),
    ("A man hangs onto a rope.", "onto"),
    ("A vase stands on a table.", "stands"),
    ("An off road vehicle is here.", "off"),
    # colour
    ("A man with a drum drinks red wine.", "red wine"),
    ("The grass is green.", "green"),
    ("Green grass and a blue sky", "green blue"),
    ("A woman in hot pink shoes", "pink"),
    ("A person with white skin is a white man.", "white"),
    ("The Red Sox play.", "red"),
    # number
    ("A player wears number five.", "five"),
    ("There is no one.", "one"),
    ("Which one is it?", "one"),
    ("A four-wheeler drives.", "four"),
    ("Two each of the one-legged birds", "one"),
    # gender
    ("A man in a bikini stands.", "man"),
    ("A bearded man smiles.", "man"),
    ("A man looks at another man.", "man"),
    ("A man-made lake is here.", "man"),
    ("One of the men puts on his hat.", "men"),
    ("A cameraman films a snowman.", "cameraman"),
    # person
    ("A tennis player hits a ball.", "player"),
    ("A surfer in a red shirt rides a wave.", "surfer wave rides"),
    ("A baby-blue car is here.", "baby"),
    ("A baby carriage stands there.", "baby"),
    # animal
    ("A dog chases another dog.", "dog"),
    ("A puppy runs. The dog is brown.", "puppy"),
    ("A dog sleeps. Other dogs play.", "dog dogs"),
    ("A bird flies.", "bird"),
    ("A dog and two dogs. The dog sleeps and another barks.", "dogs"),
    ("A dog house is here.", "dog"),
    ("A man with a hot dog. The dog is hot.", "hot dog"),
    ("A polar-bear rug", "polar bear"),
    # clothing
    ("A man with glasses of water", "glasses"),
    ("A woman with no hat", "hat"),
    ("A belt buckle lies there.", "belt"),
    ("A pair of shorts lies there.", "pair"),
    ("A man ties his tie-dye shirt.", "ties tie"),
    ("A short-sleeved shirt.", "short"),
    # food
    ("A potato-shaped rock lies there.", "potato"),
    # vehicle
    ("A car door is open.", "car"),
    ("A man looks at boats that float on the sea.", "boats"),
    ("A train of thought", "train"),
    # place
    ("A man swims in the water.", "water"),
    ("A skier in a red jacket falls in the snow.", "skier snow"),
    ("A street sign is red.", "street"),
    ("People wait to cross the street at an intersection.", "street"),
    ("A dog plays in a pool of water.", "pool"),
    # object
    ("People on each side of a road", "side"),
    ("Stay dry under an umbrella in the rain.", "umbrella"),
    ("A man pushes a light switch.", "light"),
    ("A woman reads a book.", "book"),
    ("A plate of apples", "plate"),
    # material, pattern and shape
    ("A glass of milk stands there.", "glass"),
    ("A man holds a paper.", "paper"),
    ("A rock band plays.", "rock"),
    ("A plain white shirt", "plain white"),
    ("People walk round a tower.", "round"),
    ("Times Square is full.", "square"),
    ("A boxing ring is here.", "ring"),
    # size, state and weather
    ("A high school is here.", "high"),
    ("A long time ago", "long"),
    ("A short-haired dog", "short"),
    ("A light bulb hangs there.", "light"),
    ("A full-length mirror", "full"),
    ("A man points to the sunny side.", "sunny"),
    ("A night stand is here.", "night"),
    ("The Sun newspaper lies there.", "sun"),
    # relation
    ("A man takes off his hat.", "off"),
    ("People are in front of the camera.", "front"),
    ("A man walks over there.", "over"),
    ("A boy dresses up.", "up"),
    ("Two dogs stand next to each other.", "next"),
    ("All right, they left on Monday.", "right left"),
    # action
    ("A man in running shoes", "running"),
    ("A man is fishing in a red boat.", "fishing"),
    ("A woman takes a picture.", "takes picture"),
    ("A walking stick lies there.", "walking"),
    ("A man stands up.", "stands"),
    ("A boy is lying on his back.", "lying"),
    ("A man wears no shirt.", "wears shirt"),
    ("Two boys hold each other.", "hold"),
    ("A boy is watching TV.", "watching"),
    ("A dog jumps in the air.", "jumps"),
]


@pytest.mark.parametrize("caption, words", UNTOUCHED, ids=[case[0] for case in UNTOUCHED])
def test_words_in_other_senses_are_not_slots(parse, caption, words):
    parsed = parse(caption)
    covered = {i for slot in find_slots(parsed) for i in range(slot.first, slot.last + 1)}
    words_covered = {parsed.text[parsed.start[i] : parsed.end[i]].lower() for i in covered}
    assert words_covered.isdisjoint(words.split())


NARRATIVE = (
    "In this picture there is a small living room with white walls. There is a couch in the middle of the room. "
    "To the left of the couch is a round table with a vase of red flowers. A woman sits on the couch and she "
    "reads a book to her son. Behind the couch is a window with blue curtains. The curtains are closed. There is "
    "a wooden door on the right side of the room. Next to the door stands a black chair, and a cat sleeps under "
    "the chair. The cat is grey."
)
DENSE = (
    "A man in a blue jacket is standing on a wet street. The man holds an orange umbrella in his left hand. Next "
    "to the man stands a brown dog with a red collar. The dog looks at a yellow bus. The bus is parked in front "
    "of a brick building. The building has two large windows and a green door. On the roof of the building sits a "
    "bird. An old bicycle leans against a fence to the left of the building. The bicycle has a black basket with "
    "three apples in it. Behind the fence there are several tall trees, and the leaves of the trees are yellow. "
    "Two children are playing soccer on the grass next to the fence. One child wears a striped shirt and the "
    "other child wears a plain shirt. In the background there is a white church with a round clock. The church "
    "stands on a small hill. It is a cloudy day, and the street is almost empty. A woman is pushing a stroller "
    "across the street while she talks on her phone. The stroller is grey. A truck with a wooden box is parked "
    "behind the bus. The truck is dirty and its windows are dark."
)


@pytest.mark.parametrize(
    ("text", "category", "allowed", "changes"),
    [
        (NARRATIVE, "animal", "dog", ["a cat>a dog", "The cat>The dog"]),
        (NARRATIVE, "gender", "man he his", ["A woman>A man", "she>he", "to her>to his"]),
        (NARRATIVE, "shape", "square", ["a round>a square"]),
        (NARRATIVE, "state", "open", ["are closed>are open"]),
        (DENSE, "vehicle", "tank", None),
        (DENSE, "gender", "woman her she", None),
        (DENSE, "weather", "sunny", ["cloudy day>sunny day"]),
        (DENSE, "shape", "square", ["a round>a square"]),
        (DENSE, "food", "onions", ["three apples>three onions"]),
        (DENSE, "animal", "horse", ["a brown dog>a brown horse", "The dog>The horse"]),
    ],
)
def test_long_texts_stay_consistent(parse, text, category, allowed, changes):
    """Narratives of 80 words and dense captions of 200: all mentions of a thing change, and nothing else."""
    known = set(allowed.split())
    drawn = {negative.text for negative in negatives(parse(text), seeds=6, allowed=known, only=[category])}
    if changes is None:
        for negative in drawn:
            old, new = (Counter(re.findall(r"[a-z]+", some.lower())) for some in (text, negative))
            gone = old - new
            assert gone and all(new[word] == 0 or word in ("a", "his", "her", "he", "she") for word in gone), negative
    else:
        expected = text
        for change in changes:
            before, _, after = change.partition(">")
            assert before in expected
            expected = expected.replace(before, after)
        assert drawn == {expected}


def test_an_echo_is_a_mention_of_the_same_thing(parse):
    def mentions(text, word):
        return {slot.first: slot.echoes for slot in find_slots(parse(text)) if slot.word == word}

    assert mentions("A dog runs. The dog barks. The dog sleeps.", "dog") == {1: ((5, 5), (9, 9))}
    assert mentions("A black dog and a white dog are here.", "dog") == {2: (), 6: ()}
    assert mentions("A dog and a dog are here. The dog barks.", "dog") == {}  # unclear which dog
    assert mentions("A dog chases another dog.", "dog") == {}
    assert mentions("A tennis ball lies here. The tennis ball is wet.", "tennis ball") == {1: ((7, 8),)}
    assert mentions("A teddy bear sits. The teddy bear is old.", "teddy bear") == {1: ((6, 7),)}
    assert mentions("A red car is here. The red car is old.", "red") == {1: ((7, 7),)}


@pytest.mark.parametrize(("mentions", "found"), [(MOST_MENTIONS, True), (MOST_MENTIONS + 1, False)])
def test_a_noun_that_is_repeated_too_often_is_no_slot(parse, mentions, found):
    caption = "A dog sits and " + "a dog barks and " * (mentions - 1) + "a cat sleeps."
    slots = find_slots(parse(caption), lenient=True)
    assert any(slot.first == 1 for slot in slots) is found


def test_a_colour_that_the_caption_has_is_not_drawn(parse):
    parsed = parse("A black and white dog chases a brown dog.")
    drawn = negatives(parsed, allowed={"black", "white", "brown", "grey"}, but=("animal", "action"))
    assert drawn and all("grey" in negative.text for negative in drawn)


def test_gender_is_not_swapped_where_both_are_named(parse):
    """Also not as the last resort of a caption without other slots."""
    parsed = parse("A man and a woman walk with their dogs.")
    assert "gender" not in {negative.category for negative in negatives(parsed, 100)}
    assert "gender" not in {negative.category for negative in negatives(parsed, 100, only=["gender"])}


def test_ambiguous_pronoun_blocks_the_gender_swap(parse):
    parsed = parse("A man and a boy walk with his dog.")
    assert not any(slot.category == "gender" for slot in find_slots(parsed))


def test_pronoun_of_the_other_gender_stays(parse):
    drawn = negatives(parse("A man looks at her dog."), allowed={"woman"})
    assert {negative.text for negative in drawn} == {"A woman looks at her dog."}


CAPTIONS = [
    "A small green apple is to the left of a striped car.",
    "There are two blue cups and one star on a beach.",
    "A large dotted umbrella is above the white house in a meadow.",
    "A little girl climbing the stairs to her playhouse .",
    "Two young women in white dresses ride bicycles down a narrow street .",
    "A man lays on a bench while his dog sits by him .",
    "An old man in an orange hat is eating an apple in front of a wooden fence .",
    "Three children are jumping into a swimming pool",
    "A dog is running. The dog is brown, and a man pets the dog",
    "A MAN STANDS. THE MAN'S HAT IS RED AND HE SMILES.",
    "There is an oval mirror in the hall. A boy looks at the oval mirror at night.",
    "\N{DOG FACE} Ein caf\u00e9: a black  dog runs\u2014fast\u2014through the \u201cwet\u201d grass "
    "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}!",
]


@pytest.fixture(scope="module")
def parsed_captions(parse):
    return [parse(caption) for caption in CAPTIONS]


@pytest.fixture(scope="module")
def planned_captions(parsed_captions):
    balance = balance_of()
    return [OneCaption(read_captions([parsed])[0], balance) for parsed in parsed_captions]


@settings(max_examples=examples(300), deadline=None)
@given(which=st.integers(0, len(CAPTIONS) - 1), seed=st.integers(0, 2**32), most=st.integers(1, 3))
def test_only_planned_spans_change(parsed_captions, planned_captions, which, seed, most):
    parsed, rows, how = parsed_captions[which], planned_captions[which], NegativesConfig(most_swaps=most)
    slots = find_slots(parsed)
    negative = Swap().draw(rows, 0, random.Random(seed), how, None)
    assert negative == Swap().draw(rows, 0, random.Random(seed), how, None)
    assert negative.text != parsed.text and negative.kind == "swap"
    assert 1 <= len(negative.changed) <= most * (1 + max(len(slot.repairs) + len(slot.echoes) for slot in slots))
    changed_words = [negative.text[start:end].lower() for start, end in negative.changed]
    vocabulary = {form for groups in vocabulary_lib.pools().values() for group in groups for form in group.words}
    assert all(word in vocabulary or word in nouns._PRONOUNS.values() for word in changed_words)
    # All characters outside slots, repairs and articles are unchanged.
    free = {(slot.first, slot.last) for slot in slots} | {(r[0], r[0]) for slot in slots for r in slot.repairs}
    free |= {echo for slot in slots for echo in slot.echoes}
    free |= {(i, i) for i in range(len(parsed.start)) if text_of(parsed, i).lower() in ("a", "an")}
    pattern, before = "", 0
    for first, last in sorted(free):
        pattern += re.escape(parsed.text[before : parsed.start[first]]) + ".*?"
        before = parsed.end[last]
    assert re.fullmatch(pattern + re.escape(parsed.text[before:]), negative.text)


def test_echoes_get_the_same_word(parsed_captions):
    echoed = 0
    for parsed in parsed_captions:
        for slot in find_slots(parsed):
            spans = [(slot.first, slot.last), *slot.echoes]
            assert spans == sorted(set(spans)) and spans[-1][1] < len(parsed.start)
            surfaces = {" ".join(text_of(parsed, i) for i in range(first, last + 1)).lower() for first, last in spans}
            assert len(surfaces) == 1
            if not slot.echoes:
                continue
            for negative in swaps(parsed, 20, slots=(slot,)):
                content = [negative.text[start:end].lower() for start, end in negative.changed]
                assert len(content) == len(spans) + sum(repair[2] for repair in slot.repairs)
                assert max(Counter(content).values()) >= len(spans)
                echoed += 1
    assert echoed == 40


def text_of(parsed, i):
    return parsed.text[parsed.start[i] : parsed.end[i]]


LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Z", "Cc"))


@settings(max_examples=examples(200), deadline=None)
@given(
    left=st.text(LETTERS, max_size=6),
    gaps=st.lists(st.text(" \t\u00a0\u2003", min_size=1, max_size=3), min_size=5, max_size=5),
)
def test_offsets_are_right_for_any_spacing_and_script(left, gaps):
    """A parse by hand with a strange first token and strange white space; only the colour changes."""
    words, tags = ["\N{DOG FACE}" + left, "sees", "a", "blue", "car"], ["NNP", "VBZ", "DT", "JJ", "NN"]
    text, start = "", []
    for gap, word in zip(gaps, words):
        text += gap
        start.append(len(text))
        text += word
    end = [begin + len(word) for begin, word in zip(start, words)]
    parsed = Parse(text, start, end, words, tags, [1, 1, 4, 4, 1], ["nsubj", "ROOT", "det", "amod", "dobj"])
    (negative,) = swaps(parsed, 1, allowed={"orange"}, but=["action"])
    ((begin, stop),) = negative.changed
    assert negative.text[begin:stop] == "orange"
    assert negative.text == text[: start[2]] + "an" + text[end[2] : start[3]] + "orange" + text[end[3] :]
    assert begin == start[3] + 1


def test_a_negative_never_equals_its_caption(parsed_captions):
    for parsed in parsed_captions:
        drawn = negatives(parsed, seeds=300, most=3)
        assert len(drawn) == 300
        assert all(negative.text != parsed.text for negative in drawn)
        assert len({negative.text for negative in drawn}) > 5


def test_words_of_other_captions_and_their_groups_never_appear(parse):
    parsed = parse("A brown dog runs in the park.")
    other = parse("A puppy and a kitten play with horses, it is not golden but tan or white.")
    words = {word for negative in negatives(parsed, 400, others=[other]) for word in known_words_of(negative)}
    assert words.isdisjoint({"cat", "kitten", "horse", "horses", "pony", "white", "yellow", "puppy"})
    assert {"black", "grey"} <= words


def known_words_of(negative):
    return {negative.text[start:end].lower() for start, end in negative.changed}


def test_allowed_is_respected(parsed_captions):
    allowed = Counter("dog cat blue red yellow man woman house tree three left right under sits runs".split())
    for parsed in parsed_captions:
        for negative in negatives(parsed, 100, allowed=allowed, most=2):
            new = [word for word in known_words_of(negative) if word not in ("his", "her", "him", "he", "she")]
            assert all(word in allowed for word in new)


def test_captions_without_a_swap(parse):
    parsed = parse("It happened yesterday.")
    assert find_slots(parsed) == () and not negatives(parsed)
    dog = parse("A dog barks.")
    assert negatives(dog)
    assert not negatives(dog, allowed=())
    assert not negatives(dog, allowed={"dog", "puppy", "a"})


def test_several_changes_are_all_marked(parse):
    parsed = parse("A red car is in front of a small tree.")
    drawn = negatives(parsed, 200, most=3)
    sizes = Counter(len(negative.changed) for negative in drawn)
    assert set(sizes) == {1, 2, 3} and min(sizes.values()) > 30


def test_drawing_never_imports_spacy_or_torch():
    """spaCy's import takes 3 s in every training process, and lemminflect's own __init__ would import it."""
    code = """
import sys
import Negative_map
assert "lemminflect" not in sys.modules, "lemminflect must be imported on first use"
sys.path.append("tests")
from swaps import swaps
from negatives.text import Parse
tags, heads, deps = ("CD", "NNS", "VBP"), (1, 2, 2), ("nummod", "nsubj", "ROOT")
p = Parse("Two dogs run", (0, 4, 9), (3, 8, 12), ("two", "dog", "run"), tags, heads, deps)
drawn = {negative.text for negative in swaps(p, 400)}
assert "Two sheep run" in drawn and "Two dogs sleep" in drawn, drawn
assert "spacy" not in sys.modules and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
