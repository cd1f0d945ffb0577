"""Names for runs that nobody named: an adjective and an animal, such as `amber-otter`."""

from __future__ import annotations

import os
from collections.abc import Sequence

_ADJECTIVES: Sequence[str] = """
able agile airy alert amber ample ancient apt aqua arctic ardent artful astute august auburn autumn azure balmy
beaming benign blithe blooming bold boreal bouncy brave bright brisk bronze bubbly buoyant busy calm candid canny
careful cheery chestnut civil classic clear clever coastal cobalt cool copper coral cordial cosmic cosy crafty
creamy crimson crisp curious dainty dapper daring dashing dawning deft delicate devoted diligent distant dreamy
dusky eager early earnest earthy easy ebony elated elder electric elegant emerald eminent endless epic even exact
fabled fair faithful famous fancy fearless festive fiery fine fleet floral fluent foggy fond frank free fresh
friendly frosty frugal gallant gentle genuine giddy gifted gilded glad gleaming glossy golden graceful grand
grateful great green handy happy hardy hazel hearty helpful heroic hidden honest hopeful humble humming icy ideal
indigo ivory jade jaunty jolly jovial joyful keen kind lavender lemon light lilac limber lively lofty loyal lucid
lucky lunar lush magic maroon mellow merry mighty mild mindful mint misty modest mossy neat nimble noble
nordic nova oaken observant ochre olive opal open orderly patient peaceful pearly peppy placid playful pleasant
plucky plum poised polar polished polite prime proud prudent purple quaint quick quiet radiant rapid rare ready
regal robust rosy ruby rugged rustic sable sage sandy sapphire scarlet secret serene shady sharp shining silent
silver simple sincere skilful sleek slender smart smooth snowy snug sociable solar solid sonic spirited splendid
spry stable starry steady stellar still stoic strong sturdy subtle summer sunny super supple swift tactful tame
tangerine teal tender thankful thrifty tidal tidy timely topaz tranquil trusty turquoise twilight umber unique
upbeat urban valiant velvet verdant vibrant violet vital vivid warm wary watchful wavy whimsical willing windy
winged winter wise witty woven young youthful zany zealous zesty
""".split()  # noqa: SIM905

_ANIMALS: Sequence[str] = """
aardvark addax albatross alpaca anchovy angelfish ant anteater antelope armadillo avocet axolotl baboon badger
bandicoot barbet barnacle barracuda bat beagle bear beaver bee beetle bison bittern blackbird boar bobcat bonobo
budgie buffalo bullfinch bumblebee bunting bustard butterfly buzzard camel canary capybara caracal cardinal
caribou carp cassowary cat caterpillar catfish centipede chaffinch chameleon cheetah chickadee chinchilla chipmunk
cicada clam cobra cod condor coot cormorant cougar cow coyote crab crane cricket crow cuckoo curlew deer dingo dodo
dog dolphin donkey dormouse dove dragonfly duck dugong dunlin eagle echidna eel egret eider eland elephant elk emu
falcon ferret finch firefly flamingo flounder fox frog gannet gazelle gecko gerbil gibbon giraffe gnu goat goldfinch
goose gopher gorilla goshawk grasshopper grebe grouse guanaco gull guppy haddock halibut hamster hare harrier hawk
hedgehog heron herring hoopoe hornbill horse hummingbird husky ibex ibis iguana impala jackal jackdaw jaguar jay
jellyfish jerboa kakapo kangaroo kestrel kingfisher kinkajou kite kiwi koala kookaburra krill kudu ladybird lamprey
lapwing lark lemming lemur leopard limpet linnet lion lizard llama lobster loon loris lynx macaque macaw magpie
mallard mammoth manatee mandrill manta marlin marmoset marmot marten meerkat mink minnow mole mongoose moose moth
mouse mule muskox mussel narwhal newt nightingale numbat nuthatch ocelot octopus okapi opossum orangutan orca oriole
oryx osprey ostrich otter owl ox oyster panda pangolin panther parakeet parrot partridge peacock peccary pelican
penguin perch petrel pheasant pigeon pika pike pipit plaice platypus plover polecat pony porcupine porpoise possum
prawn ptarmigan puffin puma python quail quokka rabbit raccoon ram raven ray reindeer rhino robin rook sable salamander
salmon sandpiper sardine scallop scorpion seahorse seal serval shark sheep shrew shrimp skink skua skunk sloth snail
snipe sparrow spider spoonbill squid squirrel starfish starling stingray stoat stork sturgeon swallow swan swift tapir
tarsier tern thrush tiger toad tortoise toucan trout tuna turbot turkey turtle viper vole vulture wallaby walrus
warbler weasel weevil whale wildcat wolf wolverine wombat woodlark woodpecker worm wren yak zebra zebu
""".split()  # noqa: SIM905


def generate_slug(n_words: int = 2) -> str:
    """A random name: `n_words - 1` adjectives and an animal, with dashes between.

    Drawn from the system's source of chance, so a program that seeds `random` neither repeats the names nor has its
    own numbers disturbed.

    Raises:
        ValueError: fewer than one word was asked for.
    """
    if n_words < 1:
        raise ValueError(f"a name has at least one word, not {n_words}")
    return "-".join([*(_choice(_ADJECTIVES) for _ in range(n_words - 1)), _choice(_ANIMALS)])


def _choice(words: Sequence[str]) -> str:
    return words[int.from_bytes(os.urandom(4), "big") % len(words)]


def obfuscate_string(s: str, show_tail: bool = False) -> str:
    """Eight asterisks in place of a secret, whatever its length; with `show_tail`, the end of a long one is readable.

    At most four characters are shown, and never any of the first ten.
    """
    shown = s[10:][-4:] if show_tail else ""
    return "*" * (8 - len(shown)) + shown


def obfuscate(s: object, show_tail: bool = False) -> str:
    """`obfuscate_string` for a text or for a pydantic secret."""
    reveal = getattr(s, "get_secret_value", None)
    return obfuscate_string(str(reveal() if reveal is not None else s), show_tail=show_tail)
