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
# "+word" is only ever a replacement, "-word" is only ever replaced; "=word" too, as it stands and by a singular.
# The order of pools matters: of several that hold a word, the first whose rule agrees is taken.
_VOCABULARY = """
colour.any: red maroon crimson burgundy | green lime olive | teal turquoise aqua | blue navy | yellow gold golden |
  orange | purple violet lavender | pink magenta | brown | tan beige khaki | black | white cream | grey gray silver
colour.natural: black | white cream | brown -tan -beige -red -reddish -orange -yellow -golden -gold -blond -blonde |
  grey gray
colour.blond: blond blonde | black | grey gray white

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

person.age: baby infant toddler | child kid youngster | adult
person.role: skateboarder skater rollerblader | surfer windsurfer swimmer diver wakeboarder | snowboarder skier |
  biker cyclist bicyclist motorcyclist rider racer | climber hiker | runner jogger | dancer ballerina cheerleader |
  player teammate goalie quarterback | soldier | firefighter fireman | chef cook | doctor nurse |
  musician guitarist singer drummer | photographer | clown | police_officer officer | jockey | painter artist |
  worker | wrestler boxer | gymnast | farmer | -athlete

animal.ridden: horse pony -foal | camel | elephant | donkey mule | bull cow
animal.breed: poodle | greyhound whippet | terrier | retriever labrador lab | collie | bulldog pug boxer | beagle |
  dalmatian | dachshund | husky | rottweiler doberman | chihuahua | spaniel | german_shepherd
animal.birds: pigeon dove | seagull | duck goose | swan | parrot | eagle hawk falcon -vulture | owl | chicken rooster
  hen | flamingo | ostrich | pelican heron | penguin | turkey | peacock
animal.any: dog puppy -poodle -greyhound -terrier -retriever -labrador -lab -collie -bulldog -beagle -dalmatian
  -dachshund -husky -rottweiler -pug -chihuahua -doberman -spaniel -german_shepherd | cat kitten |
  horse pony -foal | cow bull -calf -ox | sheep lamb | goat | bird -pigeon -seagull -duck -goose -swan -parrot -eagle
  -hawk -owl -chicken -rooster -flamingo -ostrich -pelican -penguin -turkey -peacock | bear polar_bear | panda |
  elephant | giraffe | zebra | monkey gorilla chimpanzee ape | lion | tiger | leopard cheetah | rabbit bunny | fox |
  wolf | deer elk moose | squirrel chipmunk | pig | camel llama | fish shark | turtle tortoise | frog | snake |
  butterfly | dolphin whale | seal sea_lion | kangaroo | donkey mule | buffalo bison | crab lobster | lizard

clothing.one: shirt jersey blouse tunic -t_-_shirt tshirt -tee_-_shirt | jacket coat parka blazer raincoat | sweater
  sweatshirt hoodie | dress gown | skirt | hat cap beanie sombrero cowboy_hat santa_hat | helmet | scarf bandana |
  tie necktie | vest | suit tuxedo | costume | swimsuit bikini bathing_suit | wetsuit | leotard | apron |
  robe kimono | headband | mask | wig | -belt | -necklace | crown tiara | life_jacket life_vest | backpack | bowtie |
  -bracelet | hard_hat | uniform
clothing.pair: pants jeans trousers slacks sweatpants | shorts trunks swim_trunks | shoes boots sneakers sandals |
  gloves mittens | sunglasses glasses goggles spectacles | socks | headphones | -earrings | overalls
clothing.dog: collar | muzzle | harness | +sweater | +hat

food.plant: apple | banana | carrot | strawberry | watermelon | mushroom | tomato | lemon | pear | -pumpkin |
  pineapple | potato | peach | onion | cherry | cucumber
food.dish: sandwich burger hamburger | hot_dog | pizza | burrito taco | omelet omelette egg | steak
food.sweet: cookie | donut doughnut | cake cupcake | pie | waffle pancake | popsicle lollipop | muffin | bagel
food.mass: broccoli | bread toast | cheese | rice | salad lettuce | soup | pasta spaghetti | ice_cream | pizza |
  cake | popcorn | meat steak beef | chocolate | candy | corn | cereal
food.drink: coffee | tea | beer | wine | milk | juice lemonade | soda

vehicle.boat: sailboat yacht | canoe kayak rowboat | ship ferry | raft | motorboat speedboat | gondola
vehicle.large: car taxi cab sedan suv jeep racecar | minivan van | truck pickup lorry semi fire_truck pickup_truck |
  bus | train tram trolley locomotive | boat ship -sailboat -canoe -kayak -raft -ferry -rowboat -motorboat
  -speedboat -yacht -gondola | airplane plane jet aeroplane | helicopter | tractor bulldozer |
  wagon cart carriage buggy | ambulance | tank | rocket | +motorcycle
vehicle.ridden: bicycle bike motorcycle motorbike dirt_bike mountain_bike moped | tricycle | unicycle | scooter |
  skateboard
vehicle.snow: snowboard | sled sleigh toboggan | snowmobile
vehicle.surf: surfboard boogie_board wakeboard | +canoe +kayak | +raft | +jet_ski
vehicle.pushed: wheelchair | stroller | wheelbarrow | +wagon +cart

place.ground: grass lawn turf | sand dirt mud gravel soil | snow ice | water | pavement concrete cement asphalt
place.on: beach shore seashore shoreline coast | street road sidewalk path trail highway track racetrack driveway
  pavement runway crosswalk dirt_road | mountain hill hillside mountainside cliff slope | roof rooftop | dock pier |
  stage | bridge | island | balcony porch patio deck | field meadow soccer_field football_field baseball_field
  -playground | tennis_court basketball_court court | -train_track -railroad_track | -trampoline
place.at: beach ocean | park playground | restaurant cafe bar | store shop market mall | church | hospital | gym |
  zoo | library museum | stadium arena | airport | train_station subway_station station | pool swimming_pool | lake
  river pond | farm | school
place.home: kitchen | bedroom | bathroom restroom | living_room | dining_room | office | garage | hallway corridor |
  +classroom
place.public: restaurant cafe bar pub | store shop supermarket market mall | church cathedral temple | hospital |
  gym gymnasium | library | museum | stadium arena | airport | train_station subway_station station subway | barn |
  classroom
place.room: room | +garage | +tent | +barn | +cave | +meadow | +desert
place.air: -air | +water | +grass | +snow
place.outdoor: -beach | park field meadow yard backyard garden playground farm pasture | forest jungle =woods |
  desert | +room | street road city town village parking_lot alley | canyon valley
place.water: lake pond | river stream creek canal | ocean sea | -pool swimming_pool | puddle | fountain |
  bathtub tub | harbor marina
place.enclosed: tunnel | cave | tent | cage

object.game: soccer | football rugby | basketball | baseball softball cricket | tennis | volleyball | hockey | golf |
  chess | cards | frisbee
object.ridden: -wave | +horse | +bicycle +bike
object.stunt: -trick -stunt -jump -flip -turn | +dance
object.sportball: soccer_ball | basketball | football rugby_ball | baseball softball | tennis_ball | volleyball |
  golf_ball
object.over: log stump | rock boulder | hurdle | puddle | bench | -fence -gate -rail -pole -bar
object.ball: ball -football -soccer_ball -basketball -tennis_ball -baseball -volleyball -softball -rugby_ball
  -golf_ball beachball -beach_ball | frisbee disc disk | stick branch twig | rope | kite | balloon | bone | snowball |
  hula_hoop hoop | bubble | tire
object.music: guitar banjo | violin cello | drum | trumpet saxophone | flute | piano | accordion
object.vessel: bucket | cup mug | bottle | bowl | vase | jar
object.plate: plate | tray | +towel +napkin
object.bowl: bowl | cup mug | basket | pot pan
object.held: book magazine newspaper | cup mug | bottle | umbrella parasol | camera |
  phone cellphone cell_phone telephone | bag purse handbag | basket bucket box | flag banner | pillow cushion | vase |
  laptop computer | teddy_bear doll | remote | microphone | suitcase | towel blanket | cigarette cigar |
  feather | toothbrush
object.tool: baseball_bat bat | racket racquet | gun rifle | hose | ladder | shovel | paintbrush | broom | hammer |
  oar paddle | sword | rake | -fishing_pole -fishing_rod | golf_club
object.table: spoon fork knife | vase | candle | cup mug | bottle
object.small: -toaster | key | clock | star | heart | cube | lamp | +candle
object.seat: bench | chair armchair stool | couch sofa loveseat | bed mattress | table desk | -hammock | -swing |
  -rug -carpet | counter countertop | shelf | dresser | -stove
object.desk: table desk | piano | +bar
object.furniture: chair armchair stool | couch sofa loveseat | bed mattress headboard nightstand | table desk |
  shelf bookshelf bookcase | -sink -washbasin -toilet -bathtub -shower | -stove -oven refrigerator -fridge -freezer
  -microwave -dishwasher -cabinet -cupboard -counter -countertop | dresser wardrobe | piano | -hammock | -aquarium
object.fixture: mirror | window | door doorway | curtain | rug carpet | chandelier | television tv | fireplace |
  staircase stairway | painting | -lamp
object.scene: tree -palm_tree flower -bush -plant -log -stump -rock -boulder | house building cabin hut cottage castle
  church skyscraper | tower lighthouse windmill | fence railing gate -wall | bridge | fountain | statue sculpture |
  tent | sign -billboard | pole post | bench | waterfall | -pumpkin | snowman | slide | swing | ramp | -fire_hydrant |
  -traffic_light -stoplight | -parking_meter | -picnic_table

material.build: wooden wood | -metal -steel -iron | stone -rock concrete cement marble | brick | glass
material.way: wooden wood | -stone -rock concrete cement | brick | dirt | gravel
material.cloth: leather | denim | -fur -furry | straw | -wool -woolen -knit
material.any: wooden wood -hardwood | metal steel iron -metallic aluminum | plastic | stone -rock -brick -concrete
  -cement -marble -granite | glass | -leather | -paper -cardboard | -rubber | -straw -wicker

pattern.any: striped | plaid checkered checked | floral flowered flowery | dotted spotted polka_dot | plain solid |
  camouflage
pattern.mark: stripe | dot spot polka_dot | +star

shape.any: round circular | square | rectangular | triangular | oval | hexagonal octagonal
shape.noun: circle | square | triangle | rectangle | -oval | +star
shape.line: circle | line row
shape.course: curved winding curving | straight

size.any: small little tiny | large big huge giant enormous -massive | medium
size.more: smaller | larger bigger
size.height: tall | short
size.level: high | low
size.length: long | short
size.depth: shallow | deep
size.width: wide | narrow

relation.side: left | right
relation.upper: upper top | lower bottom
relation.over: -over | +under +underneath
relation.height: above over | below under underneath beneath
relation.depth: in_front_of | behind
relation.top: on_top_of atop | +under +underneath +beneath +below
relation.on: -on | +under +beneath +underneath | +behind | +next_to +beside
relation.beside: next_to beside alongside | +under +underneath +beneath | +on_top_of
relation.near: near | +far_from
relation.inside: inside | outside
relation.doors: indoors | outdoors
relation.door: indoor | outdoor
relation.into: into | out_of
relation.onto: onto | off
relation.vertical: up | down
relation.slope: uphill | downhill
relation.toward: towards toward | away_from

weather.sky: sunny clear | cloudy overcast | rainy stormy | snowy | foggy misty hazy
weather.hour: night nighttime | dusk dawn sunset sunrise | +noon +midday
weather.day: daytime day | night nighttime
weather.low: sunset sunrise | storm thunderstorm
weather.light: sun sunshine sunlight daylight | rain | fog mist | darkness dark moonlight | snowstorm blizzard

state.terrain: inflatable plastic kiddie grassy | snowy icy -snow_-_covered | rocky | sandy | muddy
state.wet: wet soaked | dry
state.open: open | closed shut
state.crowd: empty deserted | crowded busy -packed
state.full: empty | full
state.clean: dirty muddy | clean
state.age: young younger | old elderly older
state.new: new modern | old rusty
state.sleep: asleep | awake
state.light: dark | bright
state.shade: light bright pale | dark
state.heat: hot | cold
state.mood: happy smiling | sad angry crying
state.curly: curly | straight

action.path: run jog -sprint -dash -race | walk stroll -wander -hike | jump leap -hop | swim | crawl | climb | march |
  -slide
action.place: stand | sit | lie lay sleep nap | kneel crouch squat | run jog -sprint -race | walk stroll -hike |
  jump leap -hop | swim | crawl | dance | -climb
action.play: play -fight -wrestle -pose -perform -work -bark -growl -dig -exercise -practice | +sleep +nap | +eat |
  +march | +pray
action.pose: pose | +look +search | +pay
action.together: hug kiss -embrace | +fight +wrestle +argue | +dance
action.sport: surf | ski | skate rollerblade skateboard | snowboard | bike cycle | +swim | +walk | +sled
action.face: -cheer smile laugh grin giggle | cry frown | yell scream shout
action.talk: talk speak chat | +wave | +sing | +point
action.look: look stare gaze | +wave | +yell +shout | +point
action.wait: wait rest relax lounge | +run | +dance | +jump
action.t_wear: wear | hold carry | +wash | +fold
action.t_throw: hold carry grip clutch grab catch fetch retrieve | throw toss hurl | kick | drop | +hide
action.t_hold: hold carry grip clutch grab | +throw +toss | +drop | +hide | +paint | +wash | +fix +repair
action.t_bite: hold carry grip catch fetch retrieve bite chew | +lick | +drop | +bury | +chase
action.t_hit: hit swing | +throw +toss | +drop | +catch
action.t_ride: ride drive | +push | +pull | +wash +clean | +fix +repair | +lead | +paint
action.t_walk: walk | +wash | +chase | +feed | +pet
action.t_push: push | pull drag tow | +carry | +paint | +fix
action.t_eat: eat chew bite | +cook +prepare | +cut +slice | +throw | +sell | +sniff
action.t_cook: cook prepare bake | +eat | +throw | +sell
action.t_drink: drink sip | +pour | +spill | +sell
action.t_read: read | +write | +throw | +tear
action.t_game: play | +watch
action.t_instrument: play | +carry | +paint | +fix
action.t_climb: climb scale | +paint | +clean | +descend
action.t_chase: chase follow | +carry | +lick | +lead
action.t_care: hug embrace kiss | +chase | +feed | +photograph | +wash
action.t_pet: pet stroke | +chase | +feed | +photograph | +wash
action.t_lick: lick sniff smell | +chase | +carry
action.t_cross: cross | +sweep +clean | +paint
action.t_watch: -watch | +leave | +photograph
action.t_surf: -surf | +watch | +photograph
action.t_clean: clean wash sweep | paint draw | +break
action.t_jump: jump leap | +climb | +paint | +kick
action.t_fly: fly | +carry | +fix
action.t_cut: cut slice | +eat | +cook
"""

# Groups of one pool that exclude each other in words but not surely in a picture: hues that pass into each other, a
# gallop and a leap, things that are worn together. "pool: a b | c > d e": the groups of a and b do not replace each
# other; that of c does not replace those of d and e, nor they it.
_NEAR = """
colour.any: red orange | red pink purple | orange > yellow brown tan pink | red > brown | teal > green blue grey |
  blue purple | tan > brown white grey yellow | black grey | white grey
colour.natural: black grey | white grey
person.age: child baby
person.role: athlete > player surfer skateboarder snowboarder runner gymnast biker climber dancer wrestler jockey |
  worker > chef firefighter police_officer soldier farmer doctor painter | biker jockey | painter musician photographer
  | player musician | soldier police_officer
animal.any: panda bear | donkey horse | buffalo cow | sheep goat | wolf dog fox | lion tiger leopard | camel horse |
  zebra horse | rabbit squirrel | dolphin fish seal
animal.ridden: horse donkey
clothing.one: uniform > shirt jacket suit costume vest hat helmet sweater tie belt dress skirt | shirt jacket sweater
  vest | swimsuit wetsuit leotard | costume > mask dress hat crown wig robe | hat > hard_hat headband | helmet hard_hat
  | life_jacket > vest jacket | tie bowtie | suit > tie bowtie jacket vest | dress > robe shirt skirt | scarf headband
  | leotard dress
clothing.pair: pants shorts overalls
clothing.dog: collar harness
food.mass: salad broccoli | cheese > pizza pasta bread | cereal corn popcorn rice
food.dish: sandwich > pizza hot_dog
food.sweet: cake pie | donut bagel | cookie muffin
vehicle.boat: canoe sailboat motorboat ship
vehicle.large: minivan > car truck | ambulance > truck minivan car | bus > train minivan | car motorcycle |
  tractor truck wagon | car wagon
vehicle.ridden: bicycle tricycle unicycle scooter
vehicle.pushed: wheelbarrow cart
place.ground: water snow
place.on: beach island | street > bridge mountain field court | field court | mountain island | balcony roof |
  stage court | dock > bridge beach
place.at: park zoo farm | beach lake pool | store > airport restaurant | school > gym library stadium
place.home: kitchen dining_room living_room | office classroom
place.public: library classroom museum | gym stadium | store > restaurant airport train_station
place.outdoor: park forest | desert canyon | forest canyon
place.water: bathtub > lake river ocean harbor puddle fountain | lake river ocean harbor | swimming_pool fountain
object.game: soccer football | hockey golf
object.sportball: baseball tennis_ball golf_ball | soccer_ball volleyball
object.over: log > hurdle fence rock
object.ball: stick bone | balloon ball bubble | snowball ball | hula_hoop tire
object.small: lamp candle
object.music: trumpet flute
object.vessel: jar vase
object.bowl: bowl pot
object.held: cup bottle | bag suitcase basket | pillow towel | camera phone | laptop remote
object.tool: oar shovel | sword baseball_bat
object.seat: chair > bench couch | couch bed | swing bench | table > counter shelf dresser | shelf dresser
object.furniture: bed dresser | chair table | dresser shelf | couch bed | table shelf
object.fixture: curtain window | window door | mirror > painting window television
object.scene: house tower | fence pole | statue fountain | ramp slide | sign > traffic_light pole
material.build: stone brick
shape.any: round oval | square rectangular
shape.noun: square rectangle | circle oval
state.terrain: rocky sandy muddy
weather.sky: cloudy > rainy snowy foggy | foggy > rainy snowy
action.path: run jump | climb > crawl | march walk | slide run
action.place: jump > run dance | sit kneel | crawl > kneel lie climb | dance walk
action.face: cry scream
"""

# Compounds whose parts mean something else than alone. Their tokens are never touched.
_FIXED = """
skate park|skate parks|hair dresser|hair dressers|go cart|go carts|go kart|go karts|swim goggles|out of frame
out of order|out of date|black and white photo|black and white photograph|black and white picture
black and white image|white water|peace sign|peace signs|wine glasses|drinking glasses|beer glasses|champagne glasses
stuffed animal|a couple of|a pair of|no one|one of|one another|each other|which one|this one|that one|one by one
one is|one has|one who|one with|one in|one on|another one|young one|light post|light posts|full pipe|orange juice
orange slice|hair cut|green screen
black belt|blue jay|wine glass|fire place|yellow light|red light|rock climbing|rock climb|rock climbs|rock band
rock star|rock concert|light up|light fixture|light bulb|night light|road sign|open air|full of|in full|full size
running shoes|bean bag|punching bag|sleeping bag|golf cart|playing field|high school|high five|high chair|high speed
high jump|long jump|hot air|cold cuts|head down|lie detector|upside down|face down|lying down|sit up|push up|pull up
stand up|standing up|dressed up|back and forth|wide open|home plate|plain clothes|short sleeve|short sleeved
long sleeve|long sleeved|left over|right next|right in front|right behind|right away|dry off|dry land|wet suit
watch tower|sea lion|sea shell|star fish|cat fish|guinea pig|clean up|up close|close up|made up|lined up|line up
lit up|lights up|rolled up|hold up|up and down|up to|up for|down syndrome|turned up|bear skin|bull dog|bull fighter
horse back|under way|under water|over there|all over|over weight|over size|well over|inside out|half pipe|off road
sun glasses|sun set|sun flower|basket ball|foot ball|base ball|snow man|snow board|snow boarder|skate board
skate boarder|surf board|bird bath|dog house|bird house|tree house|play house|light house|horse shoe|toy store
at the camera|for the camera|for a camera|at a camera|the camera|bus stop|traffic jam|body of water|glass of water
bottle of water|water bottle|hot tub|clothes line|right hand|left hand|santa claus|cowboy boots|santa suit|bumper car
monkey bars|zebra crossing|crab apple|dog bone|dog bowl|dog bed|cat nap|teddy bears|star wars|red sox|all fours
four wheeler|four wheel|three wheeler|stage coach|train set|train car|street light|street lamp|pool table|day time
every day|day care|t ball|tee ball|christmas tree|christmas trees|family tree|stop light|no parking
parking lot attendant|rock face|rock formation|rock formations|ferris wheel|merry go round|roller coaster
roller skates|ice skate|ice skates|ice skating|ice rink|ice cube|ice cubes|snow shoes|snow suit|snow pants|water slide
water slides|water fountain|water gun|water hose|water ski|water skis|water skiing|water skier|water bottles
sand castle|sand dune|sand dunes|sand box|rain coat|rain boots|sun dress|sun hat|sun bathing|sun screen|sun glass
high heels|high heel|bow tie|bow ties|tie dye|tie dyed|flower girl|table cloth|table tennis|ping pong|pool ball
pool balls|pool cue|foot path|cross country|at night club|night stand|night stands|night club|night gown|night table
day bed|box office|box car|fire engine|fire works|in the dark blue|baby carriage|baby carrier|baby pool|baby doll
baby bottle|baby bed|baby swing|baby food|baby gate|kid pool|kiddie pool|kids pool|child seat|child care|big ben
big wheel|big top|big screen|wide screen|flat screen|wide eyed|wide eyes|hot sauce|hot chocolate|hot tea|cold drink
open mouthed|open air market|open space|open field|open area|open fire|short distance|short cut|short stop|long way
long time|high up|high above|high wire|high chairs|high rise|low rise|low light|low cut|deep fryer|deep dish|hard wood
steel drum|steel drums|golden gate|golden retriever|golden retrievers|golden lab|yellow lab|yellow labs|black lab
black labs|chocolate lab|red panda|red wine|white wine|red hair|red headed|red head|red eye|white house|white board
black board|blue jeans|blue jean|orange tree|orange trees|lemon juice|apple juice|apple tree|cheese cake|corn dog
corn field|corn on the cob|egg shell|hot dogs stand|sun light|moon light|day light|street sign|street signs
street performer|street performers|street vendor|street corner|street fair|street cleaner|road race|road bike
road work|road block|field hockey|field goal|ocean waves|ocean wave|river bank|river bed|mountain range|mountain top
mountain biker|mountain bikers|mountain biking|mountain climber|mountain climbers|mountain climbing|mountain side
hill side|forest floor|city lights|city skyline|kitchen aid|bed spread|bed frame|bed room|bath room|bath tub|bath tubs
arm chair|arm chairs|lawn mower|wheel chair|pool side|pool deck|car door|car window|car wash|car show|car seat
car park|car lot|truck bed|train ride|bus stops|boat ride|boat race|bike ride|bike rack|bike race|bike trick|bike lane
bike path|horse race|horse show|horse ride|dog show|dog race|dog sled|dog sleds|dog toy|dog treat|cat bed|cat tree
cow bell|bull ring|bull riding|bull rider|bear cub|bird cage|bird feeder|bird seed|fish tank|fish bowl|fish market
monkey bar|butterfly net|tiger stripes|zebra print|leopard print|snake skin|baseball field|baseball diamond
golf course|golf bag|soccer net|basketball hoop|basketball hoops|basketball net|basketball goal|volleyball net
tennis net|ball pit|ball park|ball room|ball gown|ball field|ball game|bat man|spider man|super man|iron man
snow machine|stick figure|selfie stick|drum stick|drum sticks|drum set|drum kit|camera man|camera men|camera crew
phone booth|phone call|phone case|book bag|book case|book store|book shelf|book shelves|bag pipes|bag pipe|bag of
cup cake|cup cakes|cup holder|bottle cap|flag pole|flag poles|key board|lamp post|lamp posts|lamp shade|lamp shades
lamp stand|candle holder|candle holders|candle stick|candle sticks|plate of|bowl of|cup of|glass of|box of|basket of
bucket of|bottle of|mug of|shirt sleeve|hat rack|coat rack|tie rack|belt buckle|skirt steak|vest pocket|mask maker
crown molding|shoe lace|shoe laces|shoe box|sock puppet|glove compartment|wall paper|wall unit|wall street
wall hanging|wall hangings|window sill|window sills|window seat|window pane|window panes|door way|door ways|door knob
door frame|door handle|door mat|floor lamp shade|ceiling light|ceiling lights|sink faucet|shower head|shower stall
shower door|toilet paper|toilet seat|toilet bowl|toilet lid|toilet tank|mirror image|counter top|counter tops
stove top|oven door|bed side|bed sheets|bed linens|bed cover|bed covers|bed sheet|desk top|table top|table tops
chair lift|ski lift|seat belt|church bell|farm animal|farm animals|stage light|stage lights|island counter
center island|kitchen island|tower bridge|bridge of|gate way|tent pole|pole vault|pole vaulting|pole vaulter
pole dancing|play pool|play ball|play time|play pen|play area|play dead|play fight|play fighting|fly by|run way
jump rope|jump ropes|jump suit|swim suit|swim suits|walk way|walk ways|sit ups|stand still|stand by|lay out|cross walk
cross walks|cross legged|cross road|cross roads|climb wall|bike jump|life guard|life guards|life vests|ready to
day light savings|summer day|winter day|as night|good night|night sky|day out|sun flare|sun rays|sun rise|solid food
plain white|plain black|straight line|straight up|straight into|straight down|square dance|town square|city square
public square|square foot|times square|red square|line of|row of|ring of|in line for|next line|next door|fly ball
starting line|finish line|finishing line|power line|power lines|telephone line|telephone pole|telephone poles
telephone booth|zip line|goal line|in a row of|toy gun|toy animal|rocking horse|saw horse|sea horse|hobby horse
wooden horse|metal horse|carousel horse|carousel horses|pommel horse|teddy bear picnic|gummy bear|eye shadow
mother and child|mother and son|father and son|boy scout|boy scouts|girl scout|girl scouts|ball boy|ball girl|man made
man hole|man kind|gentle man|best man|old man winter|bar code|ski pole|ski poles|tent city|hammer throw|hammer head
broom stick|sword fish|sword fight|sword fighting|gun powder|tire tracks|tire track|slide show|base slide|home run
dry erase|dry dock|dirty look|clean shaven|clean cut|full moon|full length|full sized|empty handed|young at heart
old fashioned|old time|old school|old town|old style|new york|new years|new born|new zealand|new orleans|cold weather
hot springs|hot spring|bright eyed|light brown hair|dark haired|light haired|light skinned|dark skinned|dark skin
light skin|dark eyes|happy birthday|sleeping bags|crossing sign|over the shoulder|over his shoulder|over her shoulder
over their shoulders|over the camera|under the camera|in front of the camera|in front of a camera|behind the camera
in front of them|in front of him|in front of her|in front of it|behind him|behind her|behind them|behind it|off of
off on|up against|up in|up on|up at|up with|down on|down in|down at|down to|down with|up the road|set up|warm up
dress up|pick up|picked up|picking up|picks up|flying up|push ups|sits up|over to|over by|over at|over in
"""

# Word lists that the rules consult, "name: words"; indented lines go on. See the rules for what each is for.
_LISTS = """
person: man woman boy girl child kid baby toddler person people lady guy men women boys girls children kids babies
  toddlers individual individuals adult adults teenager couple family crowd student students player players friend
  friends infant someone somebody mother father son daughter brother sister male female gentleman gentlemen ladies
  guys bride groom persons team parent parents teenagers youth youths toddler girlfriend boyfriend wife husband mom
  dad owner men's crew band audience group spectators onlookers
young: boy girl child kid baby toddler boys girls children kids babies toddlers infant infants teen teens youth
path: through across along into toward towards over past up down from away around off out onto after to between by
  about alongside downhill uphill back ahead forward under
route: through across along down up over past around off towards toward into out from to alongside between away with
  during in
verbs_in_place: wash clean fix repair paint hide
expanse: ocean sea lake path road beach grass snow ground field sand water floor street
not_moving: stare stares staring gazing takes take taking down overlooking following follows followed going made built
  look looks looking speak speaks speaking talk talks talking sing sings singing blow blows blowing hold holds holding
  hang hangs hanging lean leans leaning
posture: sit sits sitting sat stand stands standing stood lie lies lying lay lays laying sleep sleeps sleeping rest
  rests resting relax relaxes relaxing perched seated is are was asleep nap naps napping lounging lounges
perch: bench benches chair chairs couch sofa bed beds table tables desk rock rocks car truck boat roof log stool
  horse horses counter shelf piano suitcase motorcycle bicycle bike stage
openable: curtains curtain blinds drapes lid mouth mouths door doors window windows book box umbrella eyes gate drawer
  suitcase
fixed_terrain: water snow ice sand dirt mud grass
land: area ground terrain landscape bank course ledge surface peak land incline plain plains areas range
dark: room sky street forest area background alley hallway tunnel night day building
hair: hair hairs fur coat mane beard mustache ponytail dog dogs chest face faces paw paws leg legs ear ears tail tails
  nose head neck feathers spots markings puppy puppies animal animals eyes furry
fixed_hue: skin yard lawns yards grass sky skies snow water waters ocean sea leaves trees field fields foliage bushes
  bush plants lawn sand cloud clouds waves wave hedge hedges wine retriever retrievers light lights moss hills hillside
  vegetation plant mountains meadow tea teeth cheese beans pepper peppers meat bread rice banana bananas carrots carrot
  broccoli lettuce tomato tomatoes man woman belt bear bears wines
he: he his him himself
she: she her hers herself
definite: the this that these those his her its their my your our both
contrast: another other others each every no neither either same next second third
slope: hill hills stairs steps mountain slope cliff ramp slide wall tree ladder rock rocks staircase escalator
  mountainside hillside stairway hallway
body: mouths lips lip paw paws nose ear ears tail hand hands arm arms head heads mouth face tongue hair leg legs feet
  foot place part pose breath position turn nap picture pictures photo photos role trick tricks teeth eyes eye side no
  way ends end each
always_worn: shirt pants jeans shorts shoes sneakers trousers socks shirts
room: living_room dining_room kitchen bedroom bathroom restroom office classroom hallway restaurant gym
just_room: room rooms
woven: plaid checkered checked floral flowered camouflage polka
one: one
plural_only: they their them each together both other another themselves it its several all pair
side: the his her its their far on to upper lower top bottom
tells_gender: nursing nurses breastfeeding naked nude topless shirtless underwear beard beards bearded mustache
  mustaches bikini bikinis dress dresses skirt skirts bra bras tutu tutus bride groom pregnant makeup lipstick heels
  hijab headscarf headscarves ballerina cheerleader cheerleaders gown gowns purse goatee kilt kilts burka burkas sumo
  lingerie swimsuits blouse ponytail ponytails pigtails nun nuns monk monks priest tuxedo sari saris leotard
verbs_of_hands: fold throw toss hurl hide paint wash sell cook prepare cut slice write clean fix repair photograph feed
  pour bake ride push kick pull tear hold grip clutch grab
human_verbs: kneel dance march crouch squat pray crawl point wave sing yell shout
terrain: inflatable plastic kiddie grassy snowy rocky sandy muddy dusty dense wooded paved dirt icy leafy choppy calm
third_person: begs barks poses tries looks makes takes does performs slides swings
  splashes drives smiles rests waits watches has gets
game: soccer football basketball baseball volleyball tennis hockey rugby frisbee game games cards chess golf
  lacrosse cricket polo softball
instrument: guitar guitars violin drum drums piano instrument instruments trumpet flute saxophone accordion music
  bagpipes cello
ambiguous_colour: orange gold silver lime olive cream lavender violet turquoise navy tan
place.on: on along across down up onto over off near by beside toward towards to from past
place.in: in through into inside near by from outside behind to of around toward towards
ground: in on through into over under across along from onto near by out at
aquatic: scuba diver divers snorkel snorkeling swim swims swimming swam splash splashes splashing splashed wade wades
  wading surf surfs surfing surfer surfers dive dives diving wave waves boat boats canoe kayak raft rafting kayaking
  underwater float floats floating swimmer swimmers sailboarder kayaker kayakers canoeing sailing surfboard paddle
  paddling fish fishing drinking drinks bath bathing bathe wet ducks duck fetch
water: water pool river lake ocean sea pond waves wave stream creek surf
wintry: ski skis skiing skier skiers snowboard snowboards snowboarder snowboarders snowboarding sled sleds sledding
  sleigh snowball snowballs snowman snowshoes igloo winter snowsuit snowy snowmobile toboggan skate skating hockey
  sleigh snowfall climber climbers hiker hikers
afloat: water ocean sea river lake wave waves harbor dock pier sail sails sailing anchored floating float floats
  paddle paddling paddles row rowing rapids rapid surf marina shore beach bay fishing docked boating oars sailor
  stream creek
road: drive drives driving drove driven road street highway parked traffic intersection track tracks garage wheel
  wheels lane parking curb sidewalk corner racing race railroad rails city passengers stop stopped crosswalk dirt
  station lot platform mud spins driver
aloft: sky fly flying flies flew air airport runway wing wings landing takeoff tarmac hangar midair propeller
  parachute skydiving airshow
riding: ride rides riding rode ridden rider riders saddle jockey jockeys rodeo reins carriage bareback horseback
  equestrian polo bronco bucking
winged: wading flight fly flying flies flew flight wing wings beak feathers feather perched nest flock branch branches
  wire soars soaring egg eggs feeder
mammal: mouth mouths run runs running ran leash collar tongue tail tails fur furry walk walks walking chase chases
  chasing bark barks barking jump jumps jumping leaps leaping paws paw frisbee ears ear muzzle hurdle
in_air: butterfly bird snake fish frog crab whale turtle
hoofed: horse cow elephant giraffe zebra goat bear deer buffalo camel sheep lion kangaroo pig tiger seal
indoors: couch sofa bed pillow blanket carpet rug chair floor kitchen laptop lap computer indoors toilet sink
played: play plays playing played
sport: wave waves surfboard surfboards board ball balls bike bikes bicycle bicycles motorcycle motorcycles motorbike
  skateboard skateboards snowboard snow ramp rail court bat tennis basketball football soccer baseball hockey racket
  racquet hit hits hitting kick kicks kicking skis ski skate skates skating skateboarding surfing snowboarding skiing
  slope race racing races horse horses rapids water team field goal game base trick tricks jersey uniform helmet
  helmets rock cliff rope climbing climbs wrestling gymnastics stage guitar instrument instruments dance dancing
  bikers rides riding ride pitch pitches swim swimming swims pool wheel wheelie vehicle track stunt halfpipe tackle
  tackles teammates opponent opposing scores catch catches diving dives dive hurdles referee coach
balls: ball balls football frisbee frisbees disc stick sticks basketball baseball volleyball softball snowball
  snowballs rock rocks balloon rope bag toy
everywhere: window windows door doors wall floor ceiling table tables chair chairs mirror mirrors curtain curtains
  shelf shelves painting paintings rug carpet television tv desk cabinet bench
grown: tree flower rock log bush plant waterfall pumpkin snowman stump
exists: there have has having with contains includes features and
building: building buildings house houses wall walls bridge bridges church tower fence hut cabin barn structure
  shed castle cottage gate fireplace floor floors column columns steps stairs staircase patio archway tiles ceiling
way: road roads path paths street sidewalk walkway floor floors trail driveway pathway bridge pier dock deck ramp
shaped: table tables mirror mirrors rug window windows sign signs clock plate plates object box building pizza pool
  pillow pillows frame lamp container bowl mat carpet tray cake ceiling room bed tub sink bathtub light lights
  structure table-top hole tower balloon kite hat swimming opening tent door doors bread dish wall tile tiles
  picture pictures painting furniture coffee dining end area tabletop ottoman stool seat seats cushion bench island
  column columns vase platter fountain stone stones rock dome
course: road path street trail track staircase couch sofa wall bridge walkway slide driveway highway river pathway
  stairway bench
sky: day sky skies weather afternoon morning evening night
vegetal: food sandwich pizza apple fruit meal banana cake hot dog dogs burger donut cookie spaghetti noodles meat
  watermelon ice cream bread lunch dinner breakfast snack candy carrot carrots grass salad bagel doughnut rice corn
  pasta vegetables cheese popsicle lollipop strawberry hamburger pie egg eggs
face_down: back backs stomach stomachs side sides belly
womens_clothes: dress dresses gown skirt skirts bikini swimsuit bathing_suit blouse leotard leotards tiara earrings
male: man men boy boys guy guys male males gentleman father he his him
female: woman women girl girls lady ladies female females mother she her hers
sheltered: under underneath
cover: wave waves sky tunnel umbrella umbrellas canopy tree trees water table tent roof bridge blanket blankets
pouring: pour pours pouring pouring water drink drinks drinking sip sips sipping flowers full filled flower
ballgame: player players football soccer baseball basketball tennis volleyball cricket pitch racket racquet goal game
  quarterback team teams softball rugby hoop golf bat
urban: vehicles driving drives train trains intersection traffic car cars bus buses taxi taxis truck trucks crosswalk
  sidewalk meter parked bikes city stop
seats: table tables desk bed boat chair chairs couch sofa bench car bus swing seat counter bar
verbs_of_motion: run jog walk stroll jump leap swim crawl climb dance hop march
tinted: light dark pale bright deep lighter darker brighter
not_tinted: black white
in_kitchen: kitchen oven stove refrigerator fridge microwave cabinets counter
paved: street road train_track railroad_track
not_path: balcony roof stage island court
climbing: climber climbers rappelling rappels climb climbs climbing climbed
still_young: young younger little small older old
open_or_shut: open closed
not_kitchen: bed bathtub piano headboard dresser
not_bathroom: bed couch refrigerator piano table
inside_house: table settee room kitchen bathroom sink ceiling rug couch sofa bedroom wall walls vase indoors carpet
leathery: brimmed leather denim knit knitted wool woolen fur furry straw
sea: fish crab whale turtle snake frog butterfly
not_aloft: boat ship canoe raft car truck bus train tractor wagon tank ambulance minivan motorcycle
not_on_road: boat airplane helicopter rocket
wet_ground: water
hard_ground: pavement concrete
posed: sit sits sitting sat lie lies lying lay lays laying sleep sleeping sleeps kneel kneels kneeling roll rolls
  rolling stand stands standing
afloat_by: windsurfer windsurfers windsurfing sailboarder kayaker kayakers rafting boat boats canoe canoes kayak kayaks
  raft rafts surfboard surfboards surfer surfers surf surfing ship ships sail sailing fishing dive dives diving swim
  swims swimming sailboat sailboats
small_water: puddle fountain bathtub tub
jumping: jump jumps jumping leap leaps leaping jumped leapt hop hops hopping hurdle hurdles climb climbs climbing
hoop_like: hoop hoops
odd_toy: bubble tire hula hoop snowball hula_hoop
match: game match games
teams: player players team teams coach
doing: do does doing perform performs performing
within: in on into onto through down up inside
landmark_side: above below under behind against beside around
natural: window windows door doors tree trees grass flower flowers rock rocks plant plants leaves snow sand water bush
  bushes sky log logs stick sticks horse
middling: medium
time: year day time times week month one ones
verbs_in_water: swim
verbs_without_snow: rollerblade skateboard skate bike cycle surf swim
shopping: shopping grocery store groceries supermarket
handled: ride rides riding throw throws throwing hold holds holding carry carries carrying pick picks picking kick
  kicks kicking
verbs_not_over: run walk swim march jog stroll hike crawl
soaking: water swim swims swimming surf wave waves ocean sea lake river pool rain splash splashes splashing splashed
household: hose ladder shovel paintbrush broom hammer oar gun sword rake
boarded: car minivan wagon tank
furnished: floor wall walls table bed sofa couch tv cabinet furniture window windows door doors chair chairs carpet
  picture photo
star: star
open_land: desert meadow
ground_adjective: tall long shallow deep dry running fake lush thick green blue brown white yellow dark clear murky
read_or_smoked: book magazine newspaper cigarette cigar
read: read reads reading smoke smokes smoking
blowing: blow blows blowing blew pop pops
rainy_words: rain rainy raining dry wet stormy
verbs_of_leading: carry lead
"""


def _joined_lines(text: str) -> list[str]:
    return text.strip().replace("\n\n", "\n").replace("\n  ", " ").splitlines()


def _read_lists(text: str) -> Mapping[str, frozenset[str]]:
    named = (line.partition(": ") for line in _joined_lines(text))
    return {name: frozenset(word.replace("_", " ") for word in words.split()) for name, _, words in named}


LIST = _read_lists(_LISTS)


def _read_near(text: str) -> Mapping[str, tuple[tuple[frozenset[str], frozenset[str]], ...]]:
    """Pool -> (words, the words that are near them)."""
    near: dict[str, tuple[tuple[frozenset[str], frozenset[str]], ...]] = {}
    for line in _joined_lines(text):
        pool, _, clauses = line.partition(": ")
        for clause in clauses.split("|"):
            first, _, second = clause.partition(">")
            some, rest = (frozenset(word.replace("_", " ") for word in part.split()) for part in (first, second))
            near[pool] = (*near.get(pool, ()), *(((some, rest), (rest, some)) if rest else ((some, some),)))
    return near


_NEAR_WORDS = _read_near(_NEAR)
_INVARIABLE_CATEGORIES = ("number", "colour", "material", "size", "relation", "state", "weather")
_INVARIABLE_POOLS = (
    *("pattern.any", "shape.any", "shape.course", "clothing.pair", "gender.adjective", "place.ground"),
    *("food.mass", "object.game"),
)
VERB_FORMS = ("VB", "VBP", "VBZ", "VBG", "VBD")


class Entry(NamedTuple):
    """One surface form of one vocabulary entry, as found by its first word in `entries`."""

    words: tuple[str, ...]
    category: str
    pool: str
    group: int
    word: str
    form: str
    near: frozenset[str] = frozenset()  # words of other groups that may be true at the same time
    kin: frozenset[str] = frozenset()  # the other surface forms of its group


class Group(NamedTuple):
    targets: tuple[str, ...]  # entries that may be drawn
    sources: tuple[str, ...]  # entries that may be replaced
    words: frozenset[str]  # every surface form of every entry: if one of them is known to be true, the group is
    uncounted: frozenset[str] = frozenset()  # sources that have one form


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
    if category in _INVARIABLE_CATEGORIES or pool in _INVARIABLE_POOLS:
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
                targets=tuple(entry.lstrip("+") for entry in group if entry[0] not in "-="),
                sources=tuple(entry.lstrip("-=") for entry in group if entry[0] != "+"),
                words=frozenset(inflect(entry.lstrip("+-="), form) for entry in group for form in forms),
                uncounted=frozenset(entry[1:] for entry in group if entry[0] == "="),
            )
            for group in groups
        )
    return read


def _categories() -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Category -> its groups, read from the vocabulary without inflecting anything (import stays instant)."""
    categories: dict[str, tuple[tuple[str, ...], ...]] = {}
    for pool, groups in _read_pools():
        category = pool.partition(".")[0]
        plain = tuple(tuple(entry.lstrip("+-=") for entry in group) for group in groups)
        categories[category] = categories.get(category, ()) + plain
    return categories


CATEGORIES: Mapping[str, tuple[tuple[str, ...], ...]] = _categories()


def _near(pool: str) -> tuple[frozenset[str], ...]:
    """For each group of a pool, words of the groups that must not replace it although they are others."""
    near = []
    for group in pools()[pool]:
        known = {*group.targets, *group.sources}
        near.append(frozenset().union(*(b for a, b in _NEAR_WORDS.get(pool, ()) if not a.isdisjoint(known))))
    return tuple(near)


@lru_cache(maxsize=1)
def entries() -> Mapping[str, tuple[Entry, ...]]:
    """First word of a surface form -> the entries it may begin, the longest first, then in vocabulary order."""
    index: dict[str, list[Entry]] = {}
    for phrase in _FIXED.replace("\n", "|").split("|"):
        if phrase:
            words: tuple[str, ...] = tuple(phrase.split())
            index.setdefault(words[0], []).append(Entry(words, "", "", 0, phrase, ""))
    for pool, groups in pools().items():
        near = _near(pool)
        for number, group in enumerate(groups):
            for form in forms_of(pool):
                for word in group.sources:
                    if word in group.uncounted and form == "NNS":
                        continue
                    surface = inflect(word, form)
                    words, category = tuple(surface.split(" ")), pool.partition(".")[0]
                    kin = group.words - {surface}
                    entry = Entry(words, category, pool, number, word, form, near[number], kin)
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
